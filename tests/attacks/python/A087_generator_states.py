# id: A087
# goal: frames and code through what newer generators tell of themselves
def transformEvent(event, metadata):
    def inner():
        yield 1

    def outer():
        yield from inner()

    made = outer()
    next(made)
    for name in ("gi_yieldfrom", "gi_frame", "gi_code", "gi_state", "gi_suspended", "f_generator", "f_locals", "throw"):
        if getattr(made, name, None) is not None:
            return {"x": "PWNED-A087 " + name}
    return event
