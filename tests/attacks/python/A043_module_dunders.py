# id: A043
# goal: dunders of the module itself
__builtins__ = {"PWNED-A043": 1}
def transformEvent(event, metadata):
    return {"x": "PWNED-A043"}
