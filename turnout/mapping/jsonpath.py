"""JSONPath, as far as mappings need it: names, places, ranges, `*` and `..` (RFC 9535 without filters).

Read once, when settings are; a path is then a tuple of steps.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

__all__ = ["EVERY", "Deep", "Every", "Step", "defined", "look", "read"]


class Every(NamedTuple):
    """Each member, or those from `start` up to `stop`."""

    start: int | None = None
    stop: int | None = None


class Deep(NamedTuple):
    """Each member of this name, however deep."""

    name: str


Step = str | int | Every | Deep
EVERY = Every()
DEEPEST = 50
_NAME = r"[^\W]+(?:[-$:@][\w]+)*|[$@][\w-]+"
_STEP = re.compile(
    rf"""(?P<deep>\.\.(?:{_NAME}))
    | \.(?P<name>{_NAME}) | \.'(?P<single>[^']*)' | \."(?P<double>[^"]*)" | \.(?P<star>\*)
    | \[\s*(?:'(?P<inner>[^']*)'|"(?P<other>[^"]*)"|(?P<index>-?\d{{1,6}})|(?P<every>\*)
        |(?P<start>-?\d{{1,6}})?\s*:\s*(?P<stop>-?\d{{1,6}})?)\s*\]""",
    re.VERBOSE,
)


def read(text: str, place: int = 0) -> tuple[tuple[Step, ...], int]:
    """The steps of the path that starts with the `$` at `place`, and where it ends."""
    steps: list[Step] = []
    place += 1
    while found := _STEP.match(text, place):
        steps.append(_step(found))
        place = found.end()
    return tuple(steps), place


def _step(found: re.Match[str]) -> Step:
    for kind in ("name", "single", "double", "inner", "other"):
        if found[kind] is not None:
            return found[kind]
    if found["deep"]:
        return Deep(found["deep"][2:])
    if found["index"]:
        return int(found["index"])
    if found["star"] or found["every"]:
        return EVERY
    return Every(*(int(found[end]) if found[end] else None for end in ("start", "stop")))


def defined(steps: tuple[Step, ...]) -> bool:
    """Whether a path leads to one value and not to several."""
    return all(isinstance(step, str | int) for step in steps)


def look(value: Any, steps: tuple[Step, ...], at: int = 0) -> Any:
    """What stands at a path; of one that leads to several values a list, in which lists are a level each.

    None is what is not there. A range or `*` over what is neither object nor list is [].
    """
    for place in range(at, len(steps)):
        step = steps[place]
        if isinstance(step, str):
            value = value.get(step) if isinstance(value, dict) else None
        elif isinstance(step, int):
            found = isinstance(value, list) and -len(value) <= step < len(value)
            value = value[step] if found else None
        else:
            members = _deep(value, step.name, 0) if isinstance(step, Deep) else _members(value, step)
            return [look(member, steps, place + 1) for member in members]
        if value is None:
            several = any(not isinstance(step, str | int) for step in steps[place + 1:])
            return [] if several else None
    return value


def _members(value: Any, every: Every) -> Iterator[Any]:
    if isinstance(value, dict) and every == EVERY:
        yield from value.values()
    elif isinstance(value, list):
        yield from value[every.start:every.stop]


def _deep(value: Any, name: str, depth: int) -> Iterator[Any]:
    if depth > DEEPEST:
        return
    if isinstance(value, dict):
        if name in value:
            yield value[name]
        for member in value.values():
            yield from _deep(member, name, depth + 1)
    elif isinstance(value, list):
        for member in value:
            yield from _deep(member, name, depth + 1)
