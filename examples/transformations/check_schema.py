"""Holds events to what was agreed: an unknown event is dropped, one that lacks something is marked, so that
the tool's own filters can put it aside. MODE "drop" drops both."""

MODE = "mark"
SCHEMA = {
    "Order Completed": {"order_id": "text", "total": "number"},
    "Product Viewed": {"product_id": "text"},
    "Signed Up": {},
}


def kind_of(value):
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) else "object"


def transformEvent(event, metadata):
    if event.get("type") != "track":
        return event
    schema = SCHEMA.get(event.get("event"))
    if schema is None:
        return None
    properties = event.get("properties") or {}
    violations = []
    for name, kind in schema.items():
        value = properties.get(name)
        if value is None:
            violations.append(f"{name} is missing")
        elif kind_of(value) != kind:
            violations.append(f"{name} is no {kind}")
    if violations and MODE == "drop":
        return None
    if violations:
        event["context"] = {**(event.get("context") or {}), "violations": violations}
    return event
