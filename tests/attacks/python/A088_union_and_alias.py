# id: A088
# goal: objects of typing that the interpreter makes of classes lead back to it
def transformEvent(event, metadata):
    for target in (int | str, list[int], dict[str, int] | None, tuple[event, ...]):
        for name in ("__args__", "__origin__", "__parameters__", "__class__", "__mro_entries__", "__getattr__", "mro"):
            if getattr(target, name, None) is not None:
                return {"x": "PWNED-A088 " + name}
    return event
