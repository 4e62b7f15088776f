# id: A047
# goal: all combinations of a long list
def transformEvent(event, metadata):
    import itertools
    return {"x": len(list(itertools.product(range(100), repeat=6))) and "PWNED-A047"}
