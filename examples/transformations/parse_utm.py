"""Fills context.campaign from the utm_ parameters of the page's address, where the SDK did not."""

from turnout.url import utm


def transformEvent(event, metadata):
    context = event.get("context") or {}
    page = context.get("page") or {}
    found = utm(page.get("url") or page.get("search") or (event.get("properties") or {}).get("url"))
    if "campaign" in found:
        found["name"] = found.pop("campaign")
    if found:
        event["context"] = {**context, "campaign": {**found, **(context.get("campaign") or {})}}
    return event
