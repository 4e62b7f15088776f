"""Drops events of our own people, and marks the others as seen by this script."""

from isInternalEmail import isInternalEmail


def transformEvent(event, metadata):
    context = event.get("context") or {}
    traits = event.get("traits") or context.get("traits") or {}
    if isInternalEmail(traits.get("email")):
        return None
    context["checked_by"] = "drop_internal"
    event["context"] = context
    return event
