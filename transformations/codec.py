"""JSON in and out of a script: orjson, and a slow path for what it refuses.

Decoding agrees with `turnout.codec` (lone surrogates become U+FFFD, NaN is refused), which is not
imported here: it would bring the settings machinery of the whole package into every worker. Encoding
takes what Python's `json` takes, plus mappings of `collections`; NaN and Infinity become null.
"""

from __future__ import annotations

import collections
import json
import math
from contextlib import suppress
from typing import Any

import orjson

__all__ = ["DEPTH", "OPTIONS", "decode", "encode"]

DEPTH = 500
"""Deepest nesting of the slow path."""
OPTIONS = orjson.OPT_PASSTHROUGH_SUBCLASS | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
_TOO_DEEP = "the event is nested too deeply, or contains itself"
_MAPPINGS = frozenset((collections.OrderedDict, collections.defaultdict, collections.Counter))


def decode(data: memoryview) -> Any:
    """The value of JSON bytes; ValueError where it is none."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return _decode_slowly(bytes(data))


def encode(value: Any) -> bytes:
    """Compact JSON; TypeError or ValueError, worded for the script's author, where it cannot be."""
    with suppress(TypeError):
        return orjson.dumps(value, None, OPTIONS)
    try:
        text = json.dumps(_plain(value, 0), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    return text.encode()


def _decode_slowly(data: bytes) -> Any:
    try:
        text = data.decode("utf-8-sig")
        return _plain(json.loads(text, parse_constant=_constant), 0)
    except RecursionError:
        raise ValueError("the event is nested too deeply") from None
    except ValueError:
        raise ValueError("the event is not valid JSON") from None


def _constant(name: str) -> Any:
    raise ValueError(name)


def _plain(value: Any, depth: int) -> Any:
    if depth > DEPTH:
        raise ValueError(_TOO_DEEP)
    kind = type(value)
    if kind is str:
        return _text(value)
    if kind is dict or kind in _MAPPINGS:
        return {_key(key): _plain(item, depth + 1) for key, item in value.items()}
    if kind is list or kind is tuple:
        return [_plain(item, depth + 1) for item in value]
    if kind is float:
        return value if math.isfinite(value) else None
    if value is None or kind is bool:
        return value
    if kind is int:
        if value.bit_length() > 4096:
            raise ValueError("a number of the event is too large")
        return value
    raise TypeError(f"a {kind.__name__} cannot stand in an event; use its text or number")


def _key(key: Any) -> str:
    kind = type(key)
    if kind is str:
        return _text(key)
    if key is None or kind is bool:
        return {None: "null", True: "true", False: "false"}[key]
    if kind is int or kind is float:
        return repr(key)
    raise TypeError(f"a {kind.__name__} cannot be a key of an event; use text")


def _text(text: str) -> str:
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
