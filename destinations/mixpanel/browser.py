"""Which browser a User-Agent names, in the words of Mixpanel's own SDK, so that its reports have one list.

Source: `_.info.browser` of github.com/mixpanel/mixpanel-js (src/utils.js): the order of the tests matters, since
most browsers name those they are like.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

__all__ = ["browser"]

_KINDS: Final = tuple((name, re.compile(mark), re.compile(version)) for name, mark, version in (
    ("Opera Mini", r" OPR/.*Mini|Opera Mini", r"(?:OPR|Opera Mini)/(\d[\d.]*)"),
    ("Opera", r" OPR/|Opera/", r"(?:OPR|Opera)/(\d[\d.]*)"),
    ("BlackBerry", r"BlackBerry|PlayBook|BB10", r"(?:BlackBerry ?\w*|Version)/(\d[\d.]*)"),
    ("Internet Explorer Mobile", r"IEMobile|WPDesktop", r"(?:IEMobile/|rv:)(\d[\d.]*)"),
    ("Samsung Internet", r"SamsungBrowser/", r"SamsungBrowser/(\d[\d.]*)"),
    ("Microsoft Edge", r"Edge/|Edg/|EdgA/|EdgiOS/", r"Edg(?:e|A|iOS)?/(\d[\d.]*)"),
    ("Facebook Mobile", r"FBIOS", r"FBAV/(\d[\d.]*)"),
    ("UC Browser", r"UCWEB|UCBrowser", r"UC(?:WEB|Browser)/?(\d[\d.]*)"),
    ("Chrome", r"Chrome/", r"Chrome/(\d[\d.]*)"),
    ("Chrome iOS", r"CriOS/", r"CriOS/(\d[\d.]*)"),
    ("Firefox iOS", r"FxiOS/", r"FxiOS/(\d[\d.]*)"),
    ("Mobile Safari", r"(?:iPhone|iPad|iPod).*Safari/", r"Version/(\d[\d.]*)"),
    ("Android Mobile", r"Android.*Safari/", r"Version/(\d[\d.]*)"),
    ("Safari", r"Safari/", r"Version/(\d[\d.]*)"),
    ("Konqueror", r"Konqueror", r"Konqueror/(\d[\d.]*)"),
    ("Firefox", r"Firefox/", r"Firefox/(\d[\d.]*)"),
    ("Internet Explorer", r"MSIE |Trident/", r"(?:MSIE |rv:)(\d[\d.]*)"),
    ("Mozilla", r"Gecko/", r"rv:(\d[\d.]*)"),
))
_LONGEST: Final = 1_000
"""A longer User-Agent is none."""


@lru_cache(maxsize=4096)
def _known(agent: str) -> tuple[tuple[str, str], ...]:
    for name, mark, version in _KINDS:
        if mark.search(agent):
            found = version.search(agent)
            return (("$browser", name), ("$browser_version", found[1])) if found else (("$browser", name),)
    return ()


def browser(agent: Any) -> tuple[tuple[str, str], ...]:
    """`$browser` and `$browser_version` as pairs; () for what names none, or is no text."""
    return _known(agent) if isinstance(agent, str) and 0 < len(agent) <= _LONGEST else ()
