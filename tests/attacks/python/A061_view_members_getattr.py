# id: A061
# goal: the same by getattr
def transformEvent(event, metadata):
    import json
    return {"x": "PWNED-A061 " + str(getattr(json, "_members"))}
