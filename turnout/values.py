"""What tools want of values: numbers, texts, times, hashes, flat objects. Pure, for `Field(via=…)`.

Every function takes any JSON value and answers None where it cannot be made into what is asked, so
that a mapping leaves it out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from hashlib import sha256
from typing import Any

from turnout import codec
from turnout.errors import Refused

__all__ = [
    "boolean", "camel", "cut", "day", "digest", "flat", "integer", "iso", "kept", "lower", "micros",
    "millis", "moment", "number", "pruned", "seconds", "snake", "spread", "stripped", "text", "without",
]

_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
_HUMPS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_APART = re.compile(r"[^A-Za-z0-9]+")
_EPOCH_MILLIS = 100_000_000_000
"""A number from here on counts milliseconds, below it seconds (year 5138 as seconds, 1973 as milliseconds)."""
_LONGEST_TIME = 100
"""Characters of a time as text; JavaScript's own, with the name of its zone, has 70."""
_DEEPEST = 50
_NAMES = 2_000_000
"""Characters that names of objects may be repeated with in `flat`: a long one stands before every name inside."""
_SCALARS = frozenset({str, int, float, bool, type(None)})


# ---- numbers and texts


def number(value: Any) -> int | float | None:
    """A number, or a text that is one; a whole one comes back as int where the text has no point."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value if isinstance(value, int) or math.isfinite(value) else None
    if isinstance(value, str) and len(value) < 400 and _NUMBER.fullmatch(value):
        made = float(value)
        if not math.isfinite(made):
            return None
        return int(made) if made.is_integer() and abs(made) < 2**53 else made
    return None


def integer(value: Any) -> int | None:
    """A whole number; what follows the point is cut off, as JavaScript's parseInt does."""
    found = number(value)
    return None if found is None else int(found)


def text(value: Any) -> str | None:
    """A scalar as JavaScript writes it: `1.0` is `1`, `true` is `true`; objects and lists as JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return codec.dumps(value).decode()


def boolean(value: Any) -> bool | None:
    """A boolean, or the texts `true` and `false` in any case."""
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value.strip().lower()) if isinstance(value, str) else None


def lower(value: Any) -> str | None:
    """A scalar as trimmed lower-case text."""
    found = text(value)
    return None if found is None else found.strip().lower()


def stripped(value: Any) -> str | None:
    """A scalar as text without white space around it."""
    found = text(value)
    return None if found is None else found.strip()


def cut(length: int) -> Callable[[Any], str | None]:
    """A function that cuts a text after so many UTF-16 units, which is how JavaScript counts."""

    def shortened(value: Any) -> str | None:
        found = text(value)
        if found is None or (len(found) <= length and found.isascii()):
            return found
        return found.encode("utf-16-le", "surrogatepass")[: 2 * length].decode("utf-16-le", "ignore")

    return shortened


def snake(value: str) -> str:
    """`Order Completed`, `orderCompleted` and `order-completed` as `order_completed`."""
    return "_".join(word for word in _APART.split(_HUMPS.sub(" ", value)) if word).lower()


def camel(value: str) -> str:
    """`order_completed` and `Order Completed` as `orderCompleted`."""
    first, *rest = snake(value).split("_")
    return first + "".join(word.capitalize() for word in rest)


def digest(value: Any) -> str | None:
    """SHA-256 of a text's UTF-8 bytes, as lower-case hex."""
    found = text(value)
    return None if found is None else sha256(found.encode("utf-8", "replace")).hexdigest()


# ---- times


def moment(value: Any) -> datetime | None:
    """A time of an event: ISO 8601, RFC 2822, or a number of seconds or milliseconds since 1970.

    A time without a zone is UTC. Numbers from 100,000,000,000 on are milliseconds.
    """
    if isinstance(value, str):
        if len(value) > _LONGEST_TIME:
            return None  # what parsers make of a long text takes them long
        try:
            found = datetime.fromisoformat(value.strip())
        except ValueError:
            return _written(value)
        try:
            return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
        except OverflowError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return datetime.fromtimestamp(value / 1000 if abs(value) >= _EPOCH_MILLIS else value, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def _written(value: str) -> datetime | None:
    if _NUMBER.fullmatch(value):
        return moment(number(value))
    try:
        found = parsedate_to_datetime(value)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def seconds(value: Any) -> int | None:
    """A time as whole seconds since 1970."""
    found = moment(value)
    return None if found is None else math.floor(found.timestamp())


def millis(value: Any) -> int | None:
    """A time as milliseconds since 1970."""
    micro = micros(value)
    return None if micro is None else micro // 1000


def micros(value: Any) -> int | None:
    """A time as microseconds since 1970."""
    found = moment(value)
    if found is None:
        return None
    return math.floor(found.replace(microsecond=0).timestamp()) * 1_000_000 + found.microsecond


def iso(value: Any) -> str | None:
    """A time as RFC 3339 in UTC with milliseconds, `2026-11-23T09:36:56.779Z`."""
    found = moment(value)
    return None if found is None else found.isoformat(timespec="milliseconds")[:-6] + "Z"


def day(value: Any) -> str | None:
    """A time as its date in UTC, `2026-11-23`."""
    found = moment(value)
    return None if found is None else found.date().isoformat()


# ---- objects


def kept(value: Any) -> bool:
    """Whether a mapping keeps a value: it is neither null nor an empty text."""
    return value is not None and value != ""


def pruned(value: Mapping[str, Any]) -> dict[str, Any]:
    """The object without nulls and empty texts, at the first level."""
    return {key: item for key, item in value.items() if item is not None and item != ""}


def without(value: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The object without these names; `names` is best a set."""
    left = names if isinstance(names, set | frozenset | dict) else set(names)
    return {key: item for key, item in value.items() if key not in left}


def flat(value: Mapping[str, Any], separator: str = ".", *, lists: bool = True) -> dict[str, Any]:
    """Nested objects as one: `{"a": {"b": 1}}` is `{"a.b": 1}`.

    Lists are taken apart too (`a[0]` where the separator is a point, else `a_0`), unless `lists` is
    False: then they stay values. Empty objects and lists stay as they are. Raises `Refused` where long
    names before many others would make much more of an object than it is.
    """
    made: dict[str, Any] = {}
    _flat(value, "", separator, lists, made, room=[_NAMES])
    return made


def _flat(
    value: Any, name: str, separator: str, lists: bool, made: dict[str, Any], *, room: list[int], depth: int = 0
) -> None:
    if value and depth < _DEEPEST:
        if name and isinstance(value, Mapping | list):
            room[0] -= len(name) * len(value)
            if room[0] < 0:
                raise Refused("too_long", "names of nested objects are too long to stand before each name inside")
        if isinstance(value, Mapping):
            for key, item in value.items():
                inner = f"{name}{separator}{key}" if name else str(key)
                if item.__class__ not in _SCALARS:
                    _flat(item, inner, separator, lists, made, room=room, depth=depth + 1)
                elif inner:
                    made[inner] = item
            return
        if lists and isinstance(value, list):
            for place, item in enumerate(value):
                inner = f"{name}[{place}]" if separator == "." else f"{name}{separator}{place}"
                _flat(item, inner, separator, lists, made, room=room, depth=depth + 1)
            return
    if name:
        made[name] = value


def spread(value: Mapping[str, Any]) -> dict[str, Any]:
    """The other way: names with points become objects, `{"a.b": 1}` is `{"a": {"b": 1}}`."""
    made: dict[str, Any] = {}
    for key, item in value.items():
        place = made
        *path, last = key.split(".")
        for step in path:
            inner = place.get(step)
            if not isinstance(inner, dict):
                inner = place[step] = {}
            place = inner
        place[last] = item
    return made
