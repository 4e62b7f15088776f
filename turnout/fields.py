"""Field mappings as tables: where a value comes from, what it becomes, what it is called there.

    PROFILE = Fields(
        Field("email", EMAIL, required=True),
        Field("address.city", "traits.city", "traits.address.city"),
        Field("created", CREATED_AT, via=seconds),
        Field("source", constant="Turnout"),
    )
    body = PROFILE.fill(event.message)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from turnout.errors import Refused
from turnout.paths import steps

__all__ = ["Field", "Fields", "Sections", "fill", "finder", "getter", "look"]

Source = str | Callable[[Any], Any] | Iterable["Source"]
"""A path (`context.traits.email`), a function of the message, or several of both, tried in order."""
Getter = Callable[[Any], Any]


def getter(path: str) -> Getter:
    """A function that finds a path's value in a decoded message; None where there is none."""
    taken = steps(path)
    if len(taken) == 1 and isinstance(taken[0], str):
        return _one(taken[0])
    if len(taken) == 2 and isinstance(taken[0], str) and isinstance(taken[1], str):
        return _two(taken[0], taken[1])
    return _many(taken)


def finder(*sources: Source) -> Getter:
    """`look` for these sources, as a function of the message: taken apart once and not at every event."""
    getters = tuple(_getters(sources))

    def find(message: Any) -> Any:
        for one in getters:
            value = one(message)
            if value is not None and value != "":
                return value
        return None

    return find


def look(message: Any, *sources: Source) -> Any:
    """The first value among sources that is neither null nor an empty text; None where there is none."""
    for find in _getters(sources):
        value = find(message)
        if value is not None and value != "":
            return value
    return None


class Field:
    """One row: `to` is a name or a path (`user.name` nests), a tuple where a name has dots.

    The first of `sources` with a value that is neither null nor an empty text counts, then
    `default`; `via` changes it (None and "" leave it out; never called for what is not there).
    `constant` needs no source. A `required` one that is missing refuses the event with a sentence
    that names the sources, or `needs` in their place.
    """

    __slots__ = ("constant", "default", "getters", "into", "named", "needs", "required", "sources", "via")

    def __init__(
        self, to: str | tuple[str, ...], *sources: Source, via: Callable[[Any], Any] | None = None,
        required: bool = False, default: Any = None, constant: Any = None, needs: str = "",
    ) -> None:
        path = tuple(to.split(".")) if isinstance(to, str) else to
        self.into, self.named = path[:-1], path[-1]
        self.sources = tuple(_flat(sources))
        self.getters = tuple(_getters(sources))
        self.via, self.required, self.default, self.constant = via, required, default, constant
        self.needs = needs or " or ".join(s for s in self.sources if isinstance(s, str)) or ".".join(path)

    @property
    def to(self) -> str:
        """Where it goes, as a path."""
        return ".".join((*self.into, self.named))


class _Row(NamedTuple):
    field: Field
    getters: tuple[Getter, ...]
    via: Callable[[Any], Any] | None
    into: tuple[str, ...]
    named: str


class Fields:
    """A table of fields, compiled once; `+` joins two, a later row wins over an earlier one."""

    __slots__ = ("_rows", "fields")

    def __init__(self, *fields: Field) -> None:
        self.fields = fields
        self._rows = tuple(_Row(f, f.getters, f.via, f.into, f.named) for f in fields)

    def __add__(self, other: Fields) -> Fields:
        return Fields(*self.fields, *other.fields)

    def fill(self, message: Any, into: dict[str, Any] | None = None) -> dict[str, Any]:
        """The values found in a decoded message, in `into` where it is given.

        Raises `Refused` where a required one is missing. Kept are values that are neither null nor
        an empty text: 0, false, [] and {} are values.
        """
        made: dict[str, Any] = {} if into is None else into
        for field, getters, via, path, name in self._rows:
            value = field.constant
            if value is None:
                for find in getters:
                    value = find(message)
                    if value is not None and value != "":
                        break
                else:
                    value = field.default
                if via is not None and value is not None:
                    value = via(value)
            if value is None or value == "":
                if field.required:
                    raise Refused("missing_field", f"{field.needs} is missing")
                continue
            place = made
            for step in path:
                inner = place.get(step)
                if not isinstance(inner, dict):
                    inner = place[step] = {}
                place = inner
            place[name] = value
        return made


Sections = Sequence[tuple[str, Fields]]
"""Fields by the part of `context` that they are in: most events have few parts, and the others cost nothing."""


def fill(sections: Sections, message: Mapping[str, Any], into: dict[str, Any]) -> None:
    """Add what the context of an event says."""
    context = message.get("context")
    if isinstance(context, dict):
        for name, fields in sections:
            part = context.get(name)
            if part and isinstance(part, dict):
                fields.fill(part, into)


def _flat(sources: Iterable[Source]) -> Iterable[str | Callable[[Any], Any]]:
    for source in sources:
        if isinstance(source, str) or callable(source):
            yield source
        else:
            yield from _flat(source)


def _getters(sources: Iterable[Source]) -> Iterable[Getter]:
    return [_getter(source) if isinstance(source, str) else source for source in _flat(sources)]


_KNOWN: dict[str, Getter] = {}


def _getter(path: str) -> Getter:
    """Paths come from tables and not from events, so they are few and can all be kept."""
    found = _KNOWN.get(path)
    if found is None:
        found = _KNOWN[path] = getter(path)
    return found


def _one(name: str) -> Getter:
    def find(message: Any) -> Any:
        return message.get(name) if isinstance(message, dict) else None

    return find


def _two(outer: str, name: str) -> Getter:
    def find(message: Any) -> Any:
        inner = message.get(outer) if isinstance(message, dict) else None
        return inner.get(name) if isinstance(inner, dict) else None

    return find


def _many(taken: tuple[str | int, ...]) -> Getter:
    def find(message: Any) -> Any:
        value = message
        for step in taken:
            if isinstance(step, int):
                value = value[step] if isinstance(value, list) and step < len(value) else None
            else:
                value = value.get(step) if isinstance(value, dict) else None
            if value is None:
                return None
        return value

    return find
