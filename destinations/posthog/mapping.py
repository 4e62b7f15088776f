"""What of an event PostHog calls what: the properties that its own libraries send, from the context.

Source: https://posthog.com/docs/api/capture and https://posthog.com/docs/data/events (default properties).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

from turnout import lookups, values
from turnout.fields import Field, Fields, Sections, fill
from turnout.user_agent import BROWSERS, MOST, SYSTEMS, device, first

__all__ = ["ALIAS", "GROUP", "PAGE", "SCREEN", "WHO", "domain", "properties", "word"]


def word(value: Any) -> str | None:
    """A text, or a number as one; None for what is no id."""
    if isinstance(value, str):
        return value if value.strip() else None
    return values.text(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _mapping(value: Any) -> Any:
    return value if isinstance(value, dict) else None


def _time(value: Any) -> str | None:
    """A text as it is, since PostHog reads many forms; a number as ISO 8601."""
    return value if isinstance(value, str) else values.iso(value)


@lru_cache(maxsize=4096)
def _domain(url: str) -> str | None:
    try:
        return urlsplit(url).netloc.rpartition("@")[2] or None
    except ValueError:
        return None


def domain(url: Any) -> str | None:
    """Host and port of an address; None where it has none."""
    return _domain(url) if isinstance(url, str) and len(url) <= MOST * 8 else None


WHO: Final = Fields(Field("distinct_id", lookups.USER_ID, via=word), Field("timestamp", lookups.TIMESTAMP, via=_time))
GROUP: Final = Fields(
    Field("groupId", lookups.GROUP_ID, via=word, required=True), Field("traits", "traits", via=_mapping)
)
ALIAS: Final = Fields(Field("alias", "previousId", via=word, required=True))
EVENT: Final = Fields(
    Field("$anon_distinct_id", lookups.ANONYMOUS_ID, via=word),
    Field("$ip", lookups.IP, via=word),
)
_CONTEXT: Final[Sections] = (
    ("library", Fields(Field("$lib", "name"), Field("$lib_version", "version"))),
    ("os", Fields(Field("$os", "name"), Field("$os_version", "version"))),
    ("screen", Fields(
        Field("$screen_width", "width"),
        Field("$screen_height", "height"),
        Field("$screen_density", "density"),
    )),
    ("device", Fields(
        Field("$device_id", "id", via=word),
        Field("$device_manufacturer", "manufacturer"),
        Field("$device_model", "model"),
        Field("$device_name", "name"),
    )),
    ("network", Fields(Field("$network_carrier", "carrier"))),
    ("app", Fields(
        Field("$app_name", "name"),
        Field("$app_version", "version"),
        Field("$app_namespace", "namespace"),
        Field("$app_build", "build"),
    )),
)  # fmt: skip
_PAGE = (Field("$current_url", "url"), Field("$host", "url", via=domain), Field("$pathname", "path"))
CONTEXT: Final[Sections] = (
    *_CONTEXT,
    ("page", Fields(
        *_PAGE,
        Field("$referrer", "referrer"),
        Field("$referring_domain", "referrer", via=domain),
        Field("title", "title"),
    )),
    ("campaign", Fields(
        Field("utm_campaign", "name"),
        Field("utm_source", "source"),
        Field("utm_medium", "medium"),
        Field("utm_term", "term"),
        Field("utm_content", "content"),
    )),
)  # fmt: skip
RUDDERSTACK: Final[Sections] = (
    *_CONTEXT, ("page", Fields(*_PAGE, Field("$performance_page_loaded", "loaded"))),
)  # fmt: skip
PAGE: Final = Fields(
    Field("$current_url", lookups.PAGE_URL),
    Field("$host", lookups.PAGE_URL, via=domain),
    Field("$pathname", lookups.PAGE_PATH),
    Field("name", "name", "properties.name"),
    Field("category", "category", "properties.category"),
)
SCREEN: Final = Fields(Field("$screen_name", "properties.name", "name", "event"))
_TYPES = {"mobile": "Mobile", "tablet": "Tablet", "": "Desktop"}


@lru_cache(maxsize=4096)
def _said(agent: str) -> tuple[tuple[str, str], ...]:
    found, system = first(BROWSERS, agent), first(SYSTEMS, agent)
    if not found["name"]:
        return ()
    told = {
        "$browser": found["name"], "$browser_version": found["version"], "$os": system["name"],
        "$device_type": _TYPES.get(device(agent).get("type", ""), ""),
    }  # fmt: skip
    return tuple((key, value) for key, value in told.items() if value)


def properties(message: Mapping[str, Any], *, theirs: bool) -> dict[str, Any]:
    """What an event's context says; `theirs` as RudderStack tells it."""
    made = EVENT.fill(message)
    fill(RUDDERSTACK if theirs else CONTEXT, message, made)
    context, own = message.get("context"), message.get("properties")
    if isinstance(own, dict):
        for name in ("viewport_width", "viewport_height"):
            if name in own:
                made[f"${name}"] = own[name]
    if not isinstance(context, dict):
        return made
    if isinstance(context.get("traits"), dict):
        made["$set"] = context["traits"]
    for name in ("locale", "timezone"):
        if context.get(name):
            made[f"${name}"] = context[name]
    agent, channel = context.get("userAgent") or context.get("user_agent"), message.get("channel")
    if isinstance(agent, str) and agent:
        made["$useragent" if theirs else "$raw_user_agent"] = agent
        if channel == "web" if theirs else channel != "mobile":
            for key, value in _said(agent[:MOST]):
                if key not in made and not (theirs and key == "$device_type"):
                    made[key] = value
    return made
