# id: A004
# goal: the text of an enormous number
def transformEvent(event, metadata):
    return {"x": "PWNED-A004" + str(7 ** 3_000_000)}
