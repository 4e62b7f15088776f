"""What a word without quotes means: YAML 1.2's core schema, and an error where 1.1 differs.

YAML 1.1 readers take `no` for false, `0777` for 511 and `1e3` for text; where a word means
one thing here and another there, it is refused with what to write instead.
Source: YAML 1.2.2 §10.3.2; YAML 1.1 types bool, int.
"""

from __future__ import annotations

import math
import re

__all__ = ["Atom", "resolve"]

Atom = str | int | float | bool | None

_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_TRUE = frozenset(("true", "True", "TRUE"))
_FALSE = frozenset(("false", "False", "FALSE"))
_OLD_BOOLEANS = frozenset(("yes", "no", "on", "off"))
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_PADDED = re.compile(r"[-+]?0[0-9]+")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_OLD_FLOAT = re.compile(r"[-+]?[0-9]*\.[0-9]*(?:[eE][-+][0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_DIGITS = 40  # longer whole numbers are ids that belong in quotes


def resolve(text: str) -> Atom:
    """The value of an unquoted scalar; raises ValueError with a sentence for people."""
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if text.lower() in _OLD_BOOLEANS and text in (text.lower(), text.upper(), text.capitalize()):
        raise ValueError(f"{text} without quotes is read differently by different YAML versions; "
                         "quote it or write true/false")
    if _NOT_FINITE.fullmatch(text):
        raise ValueError("not a number that can be used here; quote it if it is text")
    if _PADDED.fullmatch(text):
        raise ValueError("a number with a leading zero is read differently by different YAML versions; "
                         "quote it if it is text")
    if _INT.fullmatch(text) or _BASED.fullmatch(text):
        return _integer(text)
    if _FLOAT.fullmatch(text):
        if not _OLD_FLOAT.fullmatch(text):
            raise ValueError("a number with an exponent is read differently by different YAML versions; "
                             "write it out, or as 1.0e+3; quote it if it is text")
        return _float(text)
    return text


def _integer(text: str) -> int:
    if len(text) > _DIGITS:
        raise ValueError("the number is too long; quote it if it is text")
    return int(text, 0)


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("the number is too large; quote it if it is text")
    return value
