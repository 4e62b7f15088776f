"""JSON values as an XML document: members are elements, lists are elements of one name after the other."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from xml.sax.saxutils import escape

from turnout import codec, values
from turnout.errors import Refused

__all__ = ["element", "xml"]

HEAD = '<?xml version="1.0" encoding="UTF-8"?>'
_QUOTES = {'"': "&quot;", "'": "&apos;"}
# Letters that a name may hold in both readings of XML 1.0 that parsers have (4th edition, Appendix B, and 5th):
# Latin, Greek, Cyrillic, Hebrew, Arabic, Kana, Han, Hangul. No `:`, which would be a namespace that is not declared.
_LETTERS = r"A-Z_a-z\u00C0-\u00D6\u00D8-\u00F6\u00F8-\u0131\u0388-\u038A\u0391-\u03A1\u03A3-\u03CE\u0401-\u040C" \
           r"\u040E-\u044F\u0451-\u045C\u05D0-\u05EA\u0621-\u063A\u0641-\u064A\u3041-\u3094\u30A1-\u30FA" \
           r"\u4E00-\u9FA5\uAC00-\uD7A3"
_NO_START = re.compile(rf"^[^{_LETTERS}]")
_NO_NAME = re.compile(rf"[^{_LETTERS}.0-9-]")
_NO_CHAR = re.compile("[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF]")


def xml(value: Any, root: str = "") -> str:
    """The document. Without a `root`, the only member of an object is it, else an element `root`."""
    if not root:
        (root, value) = next(iter(value.items())) if _single(value) else ("root", value)
    return HEAD + "".join(_elements(element(root), value if not isinstance(value, list) else {"item": value}, 0))


def _single(value: Any) -> bool:
    return isinstance(value, Mapping) and len(value) == 1 and not isinstance(next(iter(value.values())), list)


def element(name: str) -> str:
    """A name that an element may have: what no name of XML holds is `_`."""
    made = _NO_NAME.sub("_", name) or "_"
    return f"_{made}" if _NO_START.match(made) else made


def _elements(name: str, value: Any, depth: int) -> Iterator[str]:
    if depth > codec.DEPTH:
        raise Refused("too_deep", "the event is nested too deeply")
    if isinstance(value, list):
        for item in value:
            yield from _elements(name, item, depth + 1)
        return
    yield f"<{name}>"
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _elements(element(key), item, depth + 1)
    elif value is not None:
        yield escape(_NO_CHAR.sub("", values.text(value) or ""), _QUOTES)
    yield f"</{name}>"
