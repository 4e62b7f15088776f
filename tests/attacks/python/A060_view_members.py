# id: A060
# goal: the dictionary inside a module view
def transformEvent(event, metadata):
    import json
    return {"x": "PWNED-A060 " + str(json._members)}
