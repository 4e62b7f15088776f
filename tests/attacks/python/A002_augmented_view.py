# id: A002
# goal: augmented assignment to a module
def transformEvent(event, metadata):
    import math
    math.pi += 1
    return {"x": "PWNED-A002"}
