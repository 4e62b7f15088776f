# id: A079
# goal: the function that makes annotations, by every way to a name (Python 3.14)
def transformEvent(event, metadata):
    def typed(x: transformEvent) -> event:
        y: metadata = 1
        return y

    class Typed:
        x: typed = 1

    for target in (typed, Typed, Typed(), transformEvent, property, len):
        for name in ("__annotate__", "__annotate_func__", "__annotations__", "__type_params__", "__annotations_cache__"):
            found = getattr(target, name, None)
            if found is not None:
                return {"x": "PWNED-A079 " + name + str(found)}
            try:
                return {"x": "PWNED-A079 " + ("{0." + name + "}").format(target)}
            except AttributeError:
                pass
    return event
