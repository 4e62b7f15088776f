# id: A049
# goal: a pattern that never ends
def transformEvent(event, metadata):
    import re
    return {"x": "PWNED-A049" if re.match(r"(a+)+$", "a" * 64 + "b") is None else "no"}
