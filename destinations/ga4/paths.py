"""Paths with `[*]`, by which settings map an event onto a request of one's own.

`properties.products[*].name` are the names of all products; written to `events[0].params.items[*].item_name`, each is
in the item of its place. One value written to `[*]` is in every item that is there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

__all__ = ["EACH", "MOST", "Step", "found", "parsed", "put"]

EACH: Final = "*"
MOST: Final = 200
"""Places of a list that a path may name."""
Step = str | int
_STEP = re.compile(r"\.?([^.\[\]*]+)|\[(\d{1,4}|\*)\]|\['([^']+)'\]")


def parsed(path: str) -> tuple[Step, ...]:
    """The steps of a path, with or without `$.` before it; `EACH` stands for `[*]`. Raises ValueError."""
    text, at = path.strip().removeprefix("$").removeprefix("."), 0
    steps: list[Step] = []
    while at < len(text):
        step = _STEP.match(text, at)
        if step is None:
            raise ValueError(f"{path[:60]!r} is no path such as $.properties.products[*].name")
        name, place, quoted = step.groups()
        steps.append(name or quoted or (EACH if place == EACH else int(place)))
        at = step.end()
    named = [isinstance(one, str) and one != EACH for one in steps]
    if not steps or not named[0] or any(isinstance(one, int) and one >= MOST for one in steps):
        raise ValueError(f"{path[:60]!r} must begin with a name, and its places be below {MOST}")
    if EACH in steps and (steps.count(EACH) > 1 or not all(named[steps.index(EACH) + 1 :][:1])):
        raise ValueError(f"{path[:60]!r} must have one [*] at most, and a name behind it")
    return tuple(steps)


def found(message: Any, steps: Sequence[Step]) -> Any:
    """What is there, None where nothing is; for a path with `EACH` a list, None at places without."""
    value = message
    for at, step in enumerate(steps):
        if step == EACH:
            if not isinstance(value, list):
                return None
            return [found(item, steps[at + 1 :]) for item in value[:MOST]]
        if isinstance(step, int):
            value = value[step] if isinstance(value, list) and step < len(value) else None
        else:
            value = value.get(step) if isinstance(value, Mapping) else None
        if value is None:
            return None
    return value


def put(made: dict[str, Any], steps: Sequence[Step], value: Any, *, many: bool) -> None:
    """Write a value into a document, making what is missing on the way; `many`: a list by place, found with `EACH`.

    What stands in the way and is neither object nor list is replaced. None is not written.
    """
    if value is None:
        return
    if EACH not in steps:
        _write(made, steps, [one for one in value if one is not None] if many else value)
        return
    at = list(steps).index(EACH)
    head, tail = steps[:at], steps[at + 1 :]
    if not isinstance(found(made, head), list):
        _write(made, head, [])
    items = found(made, head)
    values = value if many and isinstance(value, list) else [value] * max(1, len(items))
    items.extend({} for _ in range(len(values) - len(items)))
    for place, one in enumerate(values):
        if one is None:
            continue
        if not tail:
            items[place] = _copied(one)
            continue
        if not isinstance(items[place], dict):
            items[place] = {}
        _write(items[place], tail, one)


def _write(made: dict[str, Any], steps: Sequence[Step], value: Any) -> None:
    place: Any = made
    for step, following in pairwise(steps):
        inner: Any = [] if isinstance(following, int) else {}
        here = _at(place, step)
        if not isinstance(here, type(inner)):
            _set(place, step, inner)
            here = inner
        place = here
    _set(place, steps[-1], _copied(value))


def _at(place: Any, step: Step) -> Any:
    if isinstance(step, int):
        return place[step] if step < len(place) else None
    return place.get(step)


def _set(place: Any, step: Step, value: Any) -> None:
    if isinstance(step, int):
        place.extend({} for _ in range(step + 1 - len(place)))
    place[step] = value


def _copied(value: Any) -> Any:
    """Its own, since what is written is written into again, and the event stays as it is."""
    if isinstance(value, dict):
        return {name: _copied(item) for name, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value
