# id: A063
# goal: functools.wraps copies attributes named by its caller
def transformEvent(event, metadata):
    import functools
    class Box:
        pass
    box = Box()
    functools.wraps(len, assigned=("__self__",), updated=())(box)
    return {"x": "PWNED-A063 " + str(getattr(box, "__self__"))}
