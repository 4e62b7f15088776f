# id: A023
# goal: an attribute after an index in a field
def transformEvent(event, metadata):
    return {"x": "PWNED-A023 " + "{0[0].__class__}".format([1])}
