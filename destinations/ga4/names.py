"""What Google lets events, parameters and user properties be called, and how long they may be.

Source: https://developers.google.com/analytics/devguides/collection/protocol/ga4/reference (reserved names),
https://developers.google.com/analytics/devguides/collection/protocol/ga4/sending-events (limitations) and
https://support.google.com/analytics/answer/9267744 (lengths of page_location, page_referrer and page_title).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from turnout.errors import Refused
from turnout.values import cut

__all__ = [
    "PREFIXES", "RESERVED_PARAMS", "RESERVED_USER_PROPERTIES", "event_name", "fitted", "fitted_items", "key", "legal",
]

RESERVED_EVENTS: Final = frozenset({
    "ad_activeview", "ad_click", "ad_exposure", "ad_query", "ad_reward", "adunit_exposure", "app_background",
    "app_clear_data", "app_exception", "app_remove", "app_store_refund", "app_store_subscription_cancel",
    "app_store_subscription_convert", "app_store_subscription_renew", "app_update", "app_upgrade",
    "dynamic_link_app_open", "dynamic_link_app_update", "dynamic_link_first_open", "error", "firebase_campaign",
    "firebase_in_app_message_action", "firebase_in_app_message_dismiss", "firebase_in_app_message_impression",
    "first_open", "first_visit", "in_app_purchase", "notification_dismiss", "notification_foreground",
    "notification_open", "notification_receive", "notification_send", "os_update", "screen_view", "session_start",
    "session_start_with_rollout", "user_engagement",
})  # fmt: skip
PREFIXES: Final = ("_", "firebase_", "ga_", "google_", "gtag.")
"""With which no event, parameter or user property may begin."""
RESERVED_PARAMS: Final = frozenset({"firebase_conversion"})
RESERVED_USER_PROPERTIES: Final = frozenset({
    "first_open_time", "first_visit_time", "last_deep_link_referrer", "user_id", "first_open_after_install",
})  # fmt: skip
LONGEST_NAME: Final = 40
MOST_PARAMS: Final = 25
MOST_ITEMS: Final = 200
FIRST: Final = (
    "items", "session_id", "session_number", "engagement_time_msec", "page_location", "page_referrer", "page_title",
    "group_id",
)  # fmt: skip
"""Parameters that are not left out for others."""
_EVENT = re.compile(r"[^\W\d_]\w*")
_PARAM = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")
_SPACES = re.compile(r"\s+")
_WRONG = re.compile(r"[^A-Za-z0-9_]")
_VALUE = cut(100)
_LONGER: Final = {"page_location": 1000, "page_referrer": 420, "page_title": 300}
_CUT: Final = {name: cut(length) for name, length in _LONGER.items()}


def key(name: str) -> str:
    """A name as mappings are found by: trimmed, spaces as underscores, lower-case."""
    return _SPACES.sub("_", name.strip()).lower()


def event_name(name: str) -> str:
    """The name of an event that is none of Google's: trimmed, spaces as underscores, its case as it is.

    Raises `Refused` for a name that Google does not take.
    """
    made = _SPACES.sub("_", name.strip())
    if made in RESERVED_EVENTS:
        raise Refused("reserved_name", "the event's name is one that Google keeps for itself: rename it")
    if made.startswith(PREFIXES):
        raise Refused("reserved_name", f"an event's name must not begin with {', '.join(PREFIXES)}: rename it")
    if not _EVENT.fullmatch(made):
        raise Refused("bad_name", "an event's name begins with a letter and has letters, digits and _ only: rename it")
    if len(made) > LONGEST_NAME:
        raise Refused("bad_name", f"an event's name has at most {LONGEST_NAME} characters: rename it")
    return made


def legal(name: str) -> str:
    """The name of a parameter or property: other characters than letters, digits and `_` are `_`, 40 are kept.

    "" for what does not begin with a letter.
    """
    if _PARAM.fullmatch(name):
        return name
    made = _WRONG.sub("_", name)[:LONGEST_NAME]
    return made if _PARAM.fullmatch(made) else ""


def fitted(params: Mapping[str, Any]) -> dict[str, Any]:
    """The first 25 parameters, `FIRST` before the others, with the names and values that Google keeps.

    Texts are cut at 100 characters, at more in three of a page's.
    """
    made: dict[str, Any] = {}
    if len(params) > MOST_PARAMS:
        params = {**{name: params[name] for name in FIRST if name in params}, **params}
    for given, value in params.items():
        name = legal(given)
        if not name or (name is not given and name in params):
            continue
        made[name] = _CUT.get(name, _VALUE)(value) if isinstance(value, str) and len(value) > 50 else value
        if len(made) == MOST_PARAMS:
            break
    return made


def fitted_items(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first 200 items, each as `fitted` makes it."""
    return [fitted(item) for item in items[:MOST_ITEMS]]
