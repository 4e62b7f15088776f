# id: A022
# goal: str.format found by a computed name walks attributes
def transformEvent(event, metadata):
    walk = getattr("{0.__class__.__mro__}", "for" + "mat")
    return {"x": "PWNED-A022 " + walk(())}
