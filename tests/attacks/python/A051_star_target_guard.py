# id: A051
# goal: an unpacking target is a guard
def transformEvent(event, metadata):
    first, *_getattr_ = [1, 2]
    return {"x": "PWNED-A051"}
