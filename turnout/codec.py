"""JSON as SDKs really send it: a fast path, and a slow one for what the fast one refuses.

Browsers send lone surrogates (`"\\ud800"`); orjson and msgspec refuse them, Python's own parser
takes them. The slow path replaces them with U+FFFD. NaN and Infinity are no JSON and are refused.
"""

from __future__ import annotations

import json
import math
from typing import Any

import orjson

from turnout.errors import Refused

__all__ = ["DEPTH", "dumps", "loads"]

DEPTH = 500
"""Deepest nesting taken by the slow path; the fast one stops at 1,024 (orjson)."""


def loads(data: bytes) -> Any:
    """Decode JSON; raises `Refused` with a reason and never RecursionError."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return _slow(data)


def dumps(value: Any) -> bytes:
    """Encode to compact UTF-8 JSON; integers beyond 64 bits and lone surrogates are taken too."""
    try:
        return orjson.dumps(value)
    except TypeError:
        text = json.dumps(_clean(value, 0), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return text.encode()


def _slow(data: bytes) -> Any:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refused("invalid_utf8", f"the body is not UTF-8 (byte {error.start})") from None
    try:
        return _clean(json.loads(text, parse_constant=_constant, parse_int=_integer), 0)
    except Refused:
        raise
    except RecursionError:
        raise Refused("too_deep", "the JSON is nested too deeply") from None
    except ValueError:
        raise Refused("invalid_json", "the body is not valid JSON") from None


def _constant(name: str) -> Any:
    raise Refused("not_a_number", f"{name} is not JSON; send null or a string")


def _integer(digits: str) -> int:
    if len(digits) > 400:
        raise Refused("number_too_large", "a number has more than 400 digits")
    return int(digits)


def _clean(value: Any, depth: int) -> Any:
    if depth > DEPTH:
        raise Refused("too_deep", f"the JSON is nested deeper than {DEPTH} levels")
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, dict):
        return {_text(key): _clean(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_clean(item, depth + 1) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise Refused("not_a_number", "a number is too large to be represented")
    return value


def _text(text: str) -> str:
    if text.isascii():
        return text
    # Pairs of escaped surrogates become one character; what stays alone becomes U+FFFD.
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
