# id: A044
# goal: a dictionary that grows while it is read
def transformEvent(event, metadata):
    for key in event:
        event[key + "x"] = 1
    return {"x": "PWNED-A044"}
