"""Parts of the standard library that trust the objects they are given, closed against those of scripts.

A script's class may have any method and any answer. What hands such an object something shared, keeps
it beyond the batch, or reads its memory unseen is let near it by this file only.
"""

from __future__ import annotations

import fractions
import ipaddress
import textwrap
import urllib.parse
import uuid
from collections.abc import Callable
from typing import Any

__all__ = ["forget", "of_text"]

_make_uuid = uuid.UUID.__init__


def _init_uuid(self: uuid.UUID, *args: Any, **named: Any) -> None:
    """Its number is one for sure: orjson reads the memory of `int` as a number's, whatever it is."""
    _make_uuid(self, *args, **named)
    if not isinstance(self.int, int):
        raise TypeError("the int of a UUID is a number")


uuid.UUID.__init__ = _init_uuid  # type: ignore[method-assign]  # a subclass would not be written as JSON


def _whole(fraction: fractions.Fraction) -> fractions.Fraction:
    """Of numbers for sure: since Python 3.14 it takes the word of any object, and keeps hashes by its parts."""
    if not (isinstance(fraction.numerator, int) and isinstance(fraction.denominator, int)):
        raise TypeError("a Fraction is made of whole numbers")
    return fraction


def _of_numbers(make: Callable[..., fractions.Fraction]) -> Any:
    return staticmethod(lambda *args, **named: _whole(make(*args, **named)))


fractions.Fraction.__new__ = _of_numbers(fractions.Fraction.__new__)  # type: ignore[method-assign]  # as above
if (_from_number := getattr(fractions.Fraction, "from_number", None)) is not None:
    setattr(fractions.Fraction, "from_number", _of_numbers(_from_number))  # noqa: B010  # not there before 3.14


def of_text(name: str) -> Callable[..., Any]:
    """A function of `textwrap` for text only: it hands other objects its own table of white space."""

    def call(text: str, *args: Any, **named: Any) -> Any:
        if type(text) is not str:
            raise TypeError(f"textwrap.{name}() takes text")
        return getattr(textwrap, name)(text, *args, **named)

    call.__name__ = name
    return call


_NETMASKS: tuple[dict[Any, Any], ...] = (
    ipaddress.IPv4Network._netmask_cache,  # type: ignore[attr-defined]  # typeshed leaves it out
    ipaddress.IPv6Network._netmask_cache,  # type: ignore[attr-defined]  # typeshed leaves it out
)


def forget() -> None:
    """Empty the caches that keep arguments by their own hash and equality: the next batch would find them."""
    for netmasks in _NETMASKS:
        netmasks.clear()
    urllib.parse.urlsplit.cache_clear()  # type: ignore[attr-defined]  # typeshed does not know that it is cached
