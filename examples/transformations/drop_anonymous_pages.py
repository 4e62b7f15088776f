"""Leaves out page and screen calls of people who are not known: for tools that are paid by event, such as a
support desk. Attach it to that destination only; the others still get them."""


def transformEvent(event, metadata):
    if event.get("type") in ("page", "screen") and not event.get("userId"):
        return None
    return event
