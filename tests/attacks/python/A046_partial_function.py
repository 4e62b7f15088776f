# id: A046
# goal: the function inside a partial
def transformEvent(event, metadata):
    import functools
    return {"x": "PWNED-A046 " + str(functools.partial(len).func)}
