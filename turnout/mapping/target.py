"""Where a mapping's value goes, and bodies made of mappings.

    body = Body({"$.guest.id": "$.userId", "$.rooms[*].number": "$.properties.rooms[*].id"})
    body.made(message)   # {"guest": {"id": …}, "rooms": [{"number": …}, …]}
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from turnout.errors import Refused
from turnout.mapping.jsonpath import EVERY, Deep, Every, read
from turnout.mapping.source import Source, source

__all__ = ["Body", "name"]

LARGEST_PLACE = 1_000
Target = tuple[str | int | Every, ...]


def name(text: str) -> str:
    """The one name that a `to` of a header or a param is: as it is, or as `$.name`, `$.'na-me'`, `$['name']`."""
    if not text.startswith("$"):
        return text
    steps, end = read(text)
    if end != len(text) or len(steps) != 1 or not isinstance(steps[0], str) or not steps[0]:
        raise ValueError(f"{text[:60]}: a name is expected, such as X-Team or $.'X-Team'")
    return steps[0]


def target(text: str) -> Target:
    """The steps of a body's `to`; raises ValueError for what leads to no place, or to several."""
    path = text if text.startswith("$") else f"$.{text}"
    steps, end = read(path)
    if end != len(path):
        raise ValueError(f"{text[:60]}: not understood from {path[end:][:60]!r} on")
    made: list[str | int | Every] = []
    for step in steps:
        if isinstance(step, Deep) or (isinstance(step, Every) and step != EVERY):
            raise ValueError(f"{text[:60]}: says of no value where it goes")
        if isinstance(step, int) and not 0 <= step < LARGEST_PLACE:
            raise ValueError(f"{text[:60]}: a place in a list is from 0 to {LARGEST_PLACE - 1}")
        made.append(step)
    return tuple(made)


class _Row(NamedTuple):
    source: Source
    target: Target
    copied: bool
    """Whether another row writes into what this one puts there: the event itself must stay as it is."""


class Body:
    """A body's mappings, read once. Raises ValueError for one that cannot be meant."""

    __slots__ = ("_list", "_rows")

    def __init__(self, mappings: Mapping[str, str]) -> None:
        read_ = [(source(value), target(to)) for to, value in mappings.items()]
        self._rows = tuple(
            _Row(one, to, any(other is not to and other[:len(to)] == to for _, other in read_)) for one, to in read_
        )
        lists = {bool(to) and not isinstance(to[0], str) for _, to in read_ if to}
        if len(lists) > 1:
            raise ValueError("some mappings make the body a list ($[*]), and some an object")
        self._list = lists == {True}

    def made(self, message: Any, into: dict[str, Any] | None = None) -> Any:
        """The body for a message, in `into` where it is given: what is not there is left out; a path with `*` over
        nothing is an empty list."""
        body: Any = ([] if self._list else {}) if into is None else into
        for one, to, copied in self._rows:
            value = one.find(message)
            if value is None:
                continue
            if one.levels:
                value = _leveled(value, one.levels, sum(step == EVERY for step in to))
            if copied:
                value = _copy(value)
            if to:
                _put(body, to, 0, value)
            elif isinstance(body, dict) and isinstance(value, dict):
                body.update(value)
            else:
                raise Refused("mapping", "a mapping to $ found no object")
        return body


def _leveled(value: Any, found: int, wanted: int) -> Any:
    """Lists of a path with several `*` as deep as the target has them; what is not there is left out at the end."""
    if wanted and found:
        return [_leveled(item, found - 1, wanted - 1) for item in value] if isinstance(value, list) else value
    if not found or not isinstance(value, list):
        return value
    return [item for item in _flat(value, found) if item is not None]


def _flat(value: list[Any], levels: int) -> Iterable[Any]:
    for item in value:
        if levels > 1 and isinstance(item, list):
            yield from _flat(item, levels - 1)
        else:
            yield item


def _put(place: Any, to: Target, at: int, value: Any) -> None:
    step, last = to[at], at + 1 == len(to)
    if isinstance(step, Every):
        items = value if isinstance(value, list) else [value] * max(len(place), 1)
        for index, item in enumerate(items):
            _into(place, index, to, at, item)
    elif isinstance(step, int):
        _into(place, step, to, at, value)
    elif last:
        place[step] = value
    else:
        inner = place.get(step)
        kind = _kind(to[at + 1])
        if not isinstance(inner, kind):
            inner = place[step] = kind()
        _put(inner, to, at + 1, value)


def _into(place: list[Any], index: int, to: Target, at: int, value: Any) -> None:
    """Put a value at a place of a list, which is made as long as that."""
    while len(place) <= index:
        place.append(None)
    if at + 1 == len(to):
        place[index] = value
        return
    kind = _kind(to[at + 1])
    if not isinstance(place[index], kind):
        place[index] = kind()
    if value is not None:
        _put(place[index], to, at + 1, value)


def _kind(step: str | int | Every) -> type[dict[str, Any]] | type[list[Any]]:
    return dict if isinstance(step, str) else list


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value
