"""Which browser a User-Agent names, in the words of Mixpanel's own SDK, so that its reports have one list."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from turnout.user_agent import BROWSERS, MOST, first

__all__ = ["browser"]

_NAMES: Final = {
    "Android Browser": "Android Mobile",
    "Edge": "Microsoft Edge",
    "Facebook": "Facebook Mobile",
    "IE": "Internet Explorer",
    "UCBrowser": "UC Browser",
}
"""Where Mixpanel has another name. Source: `_.info.browser` of github.com/mixpanel/mixpanel-js, src/utils.js."""


@lru_cache(maxsize=4096)
def _known(agent: str) -> tuple[tuple[str, str], ...]:
    found = first(BROWSERS, agent)
    named = (("$browser", _NAMES.get(found["name"], found["name"])), ("$browser_version", found["version"]))
    return tuple(pair for pair in named if pair[1])


def browser(agent: Any) -> tuple[tuple[str, str], ...]:
    """`$browser` and `$browser_version` as pairs; () for what names none, or is no text."""
    return _known(agent[:MOST]) if isinstance(agent, str) and agent else ()
