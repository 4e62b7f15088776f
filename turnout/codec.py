"""JSON as SDKs really send it: a fast path, and a slow one for what the fast one refuses.

Browsers send lone surrogates (`"\\ud800"`); orjson and msgspec refuse them, Python's own parser
takes them. The slow path replaces them with U+FFFD. NaN and Infinity are no JSON and are refused.
An integer beyond 64 bits may come back as the nearest double, as it would in JavaScript.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import orjson

from turnout.errors import Refused

__all__ = ["DEPTH", "dumps", "loads"]

DEPTH = 400
"""Deepest nesting the slow path takes; the fast one decodes 1,024 levels and encodes 254 (orjson)."""
DIGITS = 400
"""Longest integer taken; Python's own bound (4,300) is there against quadratic conversion."""


def loads(data: bytes) -> Any:
    """Decode JSON; raises `Refused` with a reason and nothing else, whatever the bytes."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return _slow(data)


def dumps(value: Any) -> bytes:
    """Encode to compact UTF-8 JSON; integers beyond 64 bits and lone surrogates are taken too.

    Raises `Refused` where the value is nested too deeply or holds what JSON has no word for.
    """
    try:
        # A copy of the size it has. orjson's own is a buffer that was cut: the holes behind those that are kept fit
        # nothing, and each of them costs new memory, five times what encoding an event does.
        return b"%b" % orjson.dumps(value)
    except TypeError:
        pass  # the slow path below takes more, and says why where it does not
    try:
        text = json.dumps(_clean(value, 0), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return text.encode()
    except RecursionError:
        raise _too_deep() from None
    except (TypeError, ValueError):
        raise Refused("not_json", "a value cannot be written as JSON") from None


def _slow(data: bytes) -> Any:
    try:
        text = bytes(data).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refused("invalid_utf8", f"the body is not UTF-8 (byte {error.start})") from None
    try:
        return _clean(json.loads(text, parse_constant=_constant, parse_int=_integer), 0)
    except RecursionError:
        raise _too_deep() from None
    except ValueError:
        raise Refused("invalid_json", "the body is not valid JSON") from None


def _too_deep() -> Refused:
    return Refused("too_deep", f"the JSON is nested deeper than {DEPTH} levels")


def _constant(name: str) -> Any:
    raise Refused("not_a_number", f"{name} is not JSON; send null or a string")


def _integer(digits: str) -> int:
    if len(digits) > DIGITS:
        raise Refused("number_too_large", f"a number has more than {DIGITS} digits")
    return int(digits)


def _clean(value: Any, depth: int) -> Any:
    """Mend text, refuse what is no JSON. Plain loops: a comprehension costs a frame per level."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise Refused("not_a_number", "a number is too large to be represented")
    if depth > DEPTH:
        raise _too_deep()
    if isinstance(value, Mapping):
        made: dict[str, Any] = {}
        for key, item in value.items():
            made[_text(key) if isinstance(key, str) else key] = _clean(item, depth + 1)
        return made
    if isinstance(value, list | tuple):
        items: list[Any] = []
        for item in value:
            items.append(_clean(item, depth + 1))  # noqa: PERF401 -- see the docstring: frames
        return items
    return value


def _text(text: str) -> str:
    if text.isascii():
        return str(text)
    # Pairs of escaped surrogates become one character; what stays alone becomes U+FFFD.
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
