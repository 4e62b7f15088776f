# id: A013
# goal: deleting a member of a module
def transformEvent(event, metadata):
    import json
    del json.dumps
    return {"x": "PWNED-A013"}
