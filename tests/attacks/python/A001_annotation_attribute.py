# id: A001
# goal: an annotated attribute of a guard
def transformEvent(event, metadata):
    import json
    json.dumps: int = 5
    return {"x": "PWNED-A001"}
