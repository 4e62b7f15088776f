# id: A029
# goal: a guard imported from a view
def transformEvent(event, metadata):
    from json import _members
    return {"x": "PWNED-A029 " + str(_members)}
