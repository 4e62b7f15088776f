"""Keeps all events of one user in ten, and always the same users: a tool that is paid by volume still sees
whole journeys. identify, group and alias pass, so that the users who are kept have their traits."""

from turnout.hash import cyrb53

PERCENT = 10


def transformEvent(event, metadata):
    if event.get("type") in ("identify", "group", "alias"):
        return event
    user = event.get("userId") or event.get("anonymousId")
    if not user:
        return None
    return event if cyrb53(user) % 100 < PERCENT else None
