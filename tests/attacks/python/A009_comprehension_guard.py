# id: A009
# goal: a comprehension target is a guard
def transformEvent(event, metadata):
    return {"x": ["PWNED-A009" for _getattr_ in [1]]}
