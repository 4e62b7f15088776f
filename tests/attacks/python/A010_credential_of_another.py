# id: A010
# goal: a credential nobody gave this script
def transformEvent(event, metadata):
    found = getCredential("token")
    return {"x": "clean" if found is None else "PWNED-A010"}
