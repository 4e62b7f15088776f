"""The slow path: JSON that the fast decoder refuses and SDKs send all the same.

Lone surrogates (browsers cut strings in the middle of a pair), a byte-order mark, and NaN
(Python's `json.dumps` writes it): the body is decoded by the standard library, each event is
encoded again as clean UTF-8 JSON, and only an event that holds a value no JSON has is refused.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from turnout import codec
from turnout.errors import Refused

__all__ = ["DEPTH", "encode", "read", "spans"]

DEPTH: Final = 200
"""Deepest nesting of an event on the slow path; far below what any Python's stack allows."""
DIGITS: Final = 400
"""Longest integer, in digits."""


class _NoNumber:
    """Stands where NaN, Infinity or a number beyond a double was."""


_NO_NUMBER = _NoNumber()


def read(body: bytes) -> Any:
    """Decode a body, bad numbers included; raises `Refused` where it is no JSON otherwise."""
    try:
        return json.loads(
            body.decode("utf-8-sig"), parse_constant=_constant, parse_int=_integer, parse_float=_float
        )
    except UnicodeDecodeError as error:
        raise Refused("invalid_utf8", f"the body is not UTF-8 (byte {error.start})") from None
    except RecursionError:
        raise Refused("too_deep", "the JSON is nested too deeply") from None
    except ValueError as error:
        where = f" (character {error.pos})" if isinstance(error, json.JSONDecodeError) else ""
        raise Refused("invalid_json", f"the body is not valid JSON{where}") from None


def encode(event: Any) -> bytes:
    """Encode one value of `read` as clean UTF-8 JSON; raises `Refused` where it cannot be."""
    _check(event)
    return codec.dumps(event)


def _constant(_name: str) -> Any:
    return _NO_NUMBER


def _integer(digits: str) -> Any:
    return int(digits) if len(digits) <= DIGITS else _NO_NUMBER


def _float(text: str) -> Any:
    number = float(text)
    return _NO_NUMBER if number in (float("inf"), float("-inf")) else number


def _check(event: Any) -> None:
    """Walk without recursion, level by level."""
    level = [event]
    for _ in range(DEPTH):
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                below.extend(value.values())
            elif isinstance(value, list):
                below.extend(value)
            elif value is _NO_NUMBER:
                raise Refused("not_a_number", "NaN, Infinity or a number too large; send null or a string")
        if not below:
            return
        level = below
    raise Refused("too_deep", f"the event is nested deeper than {DEPTH} levels")


_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{},]', re.DOTALL)


def spans(body: bytes, name: str) -> list[tuple[int, int]]:
    """Where the elements of the array `name` of a valid JSON object stand: `(start, end)` each.

    Needs no stack, so it reads what nests deeper than a recursive reader can.
    """
    found: list[tuple[int, int]] = []
    depth = start = 0
    key = b""
    inside = False
    for token in _TOKEN.finditer(body):
        text = token.group()
        if text in b"[{":
            if depth == 1:
                inside = text == b"[" and bool(key) and json.loads(key) == name
                if inside:
                    found, start = [], token.end()
            depth += 1
        elif text in b"]}":
            depth -= 1
            if depth == 1 and inside:
                _add(found, body, start, token.start())
                inside = False
        elif text == b",":
            if depth == 2 and inside:
                _add(found, body, start, token.start())
                start = token.end()
        elif depth == 1:
            key = text
    return found


def _add(found: list[tuple[int, int]], body: bytes, start: int, end: int) -> None:
    raw = body[start:end]
    text = raw.strip(b" \t\r\n")
    if text:
        first = start + raw.index(text[:1])
        found.append((first, first + len(text)))
