# id: A003
# goal: BaseException through a base
def transformEvent(event, metadata):
    return {"x": "PWNED-A003 " + str(Exception.__base__)}
