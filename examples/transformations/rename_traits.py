"""Gives traits the names that a tool knows, and leaves out those that it must not have."""

NAMES = {"first_name": "firstName", "last_name": "lastName", "mobile": "phone", "company_name": "company"}
LEFT_OUT = ("internal_score", "notes")


def renamed(traits):
    made = {}
    for name, value in traits.items():
        wanted = NAMES.get(name, name)
        # A trait that has the right name already comes first.
        if name not in LEFT_OUT and (wanted == name or wanted not in traits):
            made[wanted] = value
    return made


def transformEvent(event, metadata):
    for place in (event, event.get("context") or {}):
        if place.get("traits"):
            place["traits"] = renamed(place["traits"])
    return event
