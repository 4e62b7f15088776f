"""SOQL, the query language of Salesforce: values as literals, names that are names, and small queries.

Source: SOQL and SOSL Reference, "Quoted String Escape Sequences" and "WHERE"; REST API Developer Guide for the
lengths of addresses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote_plus

from turnout.errors import Refused

__all__ = ["LONGEST", "batches", "literal", "name", "select", "where"]

LONGEST: Final = 255
"""Characters of a text that is looked for; no field that can be filtered by equality holds more."""
ROOM: Final = 10_000
"""Bytes of an encoded query: address and headers together may have 16,384."""
_NAME: Final = re.compile(r"[A-Za-z](?:_?[A-Za-z0-9])*(?:__[A-Za-z0-9](?:_?[A-Za-z0-9])*){0,2}")
_ESCAPES: Final = {
    "\\": "\\\\", "'": "\\'", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f",
}  # fmt: skip
_ENCODED: Final = re.compile(r"[^A-Za-z0-9_.~ -]")
_SPECIAL: Final = re.compile(r"[\\'\"\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def name(value: Any) -> str:
    """The name of an object or a field, as it is: `Lead`, `Tier__c`. Raises `Refused` for what is none."""
    if not isinstance(value, str) or len(value) > 120 or not _NAME.fullmatch(value):
        raise Refused("bad_name", "the name of an object or field of Salesforce is letters, digits and underscores")
    return value


def literal(value: Any) -> str:
    """A value of JSON as SOQL has it; raises `Refused` for objects, lists, null and what is too long or no number."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int) and abs(value) < 10**18:
        return str(value)
    if isinstance(value, float) and abs(value) < 10**15:  # which is no infinity, and none that is no number
        return str(int(value)) if value.is_integer() else f"{value:.10f}".rstrip("0").rstrip(".")
    if not isinstance(value, str):
        raise Refused("bad_value", "a record is looked for by a text, a number or a boolean")
    if len(value) > LONGEST:
        raise Refused("bad_value", f"a record is looked for by a text of at most {LONGEST} characters")
    return "'" + _SPECIAL.sub(_escaped, value) + "'"


def _escaped(found: re.Match[str]) -> str:
    one = found[0]
    return _ESCAPES.get(one) or f"\\u{ord(one):04X}"


def where(fields: Sequence[str], keys: Iterable[Sequence[Any]]) -> str:
    """The condition that is true for records with one of the keys, each a value per field."""
    if len(fields) == 1:
        return f"{name(fields[0])} IN ({','.join(literal(key[0]) for key in keys)})"
    named = [name(one) for one in fields]
    return " OR ".join(
        "(" + " AND ".join(f"{one} = {literal(v)}" for one, v in zip(named, key, strict=True)) + ")" for key in keys
    )


def select(object_: str, fields: Sequence[str], condition: str) -> str:
    """A query whose records come oldest first, so that of several the same is found every time."""
    return f"{_head(object_, tuple(fields))} WHERE {condition} ORDER BY CreatedDate,Id"


@lru_cache(maxsize=1024)
def _head(object_: str, fields: tuple[str, ...]) -> str:
    # Names are names and values literals by here: see `name` and `where`.
    return f"SELECT {','.join(map(name, fields))} FROM {name(object_)}"  # noqa: S608


def batches(fields: Sequence[str], keys: Iterable[Sequence[Any]], most: int) -> Iterator[list[Sequence[Any]]]:
    """The keys in lists whose queries fit into an address, of at most `most` each."""
    taken: list[Sequence[Any]] = []
    room = ROOM
    for key in keys:
        size = sum(_size(f"{one} = {literal(v)} AND ") for one, v in zip(fields, key, strict=True)) + 8
        if taken and (len(taken) >= most or size > room):
            yield taken
            taken, room = [], ROOM
        taken.append(key)
        room -= size
    if taken:
        yield taken


def _size(text: str) -> int:
    """Bytes of a text in an address."""
    return len(text) + 2 * len(_ENCODED.findall(text)) if text.isascii() else len(quote_plus(text))
