# id: A059
# goal: mro of an exception class
def transformEvent(event, metadata):
    try:
        1 / 0
    except Exception as error:
        return {"x": "PWNED-A059 " + str(type(error).mro())}
