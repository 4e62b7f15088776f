"""Libraries that every script may import, written by us, in JavaScript and in Python under the policy.

They are sources like a user's own: compiled in the worker of a script that imports them, for that script
only. A library of the user's with the same name comes first. The names beginning with `@rs/` are
RudderStack's (https://www.rudderstack.com/docs/transformations/libraries/), which has them for
JavaScript only; the files export at least what its documentation names.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

from turnout import user_agent

__all__ = ["NAMES", "Source", "preload", "source"]

_JAVASCRIPT = {
    "turnout/hash": "hash.js", "@rs/hash/v1": "hash.js",
    "turnout/encrypt": "encrypt.js", "@rs/encrypt/v1": "encrypt.js",
    "turnout/url": "url.js", "@rs/urlParser/v1": "url.js",
    "turnout/userAgent": "user_agent.js", "@rs/userAgentParser/v1": "user_agent.js",
    "@rs/localizeAppleDeviceModel/v1": "apple_device.js",
    "turnout/contact": "contact.js",
    "turnout/mask": "mask.js",
}  # fmt: skip
_PYTHON = {
    "turnout.hash": "hash.py", "turnout.encrypt": "encrypt.py", "turnout.url": "url.py",
    "turnout.user_agent": "user_agent.py", "turnout.contact": "contact.py", "turnout.mask": "mask.py",
}  # fmt: skip
NAMES = {"javascript": _JAVASCRIPT, "python": _PYTHON}
"""By language: what a script imports, and the file it is in."""
_ELSEWHERE = {"user_agent.py": Path(user_agent.__file__)}
"""Destinations read user agents too, so this one is in the vocabulary."""


class Source(NamedTuple):
    """A library's text; `file` is how errors name it."""

    file: str
    text: str


@cache
def _read(file: str) -> str:
    path = _ELSEWHERE.get(file) or Path(__file__).with_name(file)
    return path.read_text(encoding="utf-8")


def source(language: str, name: str) -> Source | None:
    """The library of this name, or None."""
    file = NAMES[language].get(name)
    return None if file is None else Source(name, _read(file))


def preload() -> None:
    """Read all of them, so that a fork of this process opens no file."""
    for names in NAMES.values():
        for file in names.values():
            _read(file)
