"""Events nobody should send and somebody does."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from turnout import codec
from turnout.event import Event

__all__ = ["VALUES", "events_like", "mangled"]


def _deep(levels: int) -> Any:
    value: Any = "bottom"
    for level in range(levels):
        value = {"a": value} if level % 2 else [value]
    return value


VALUES: tuple[Any, ...] = (
    None, "", " ", 0, -1, 1e300, 10**300, True, False, [], {}, [None], {"": None}, "\ud800", "\x00\r\n",
    "a" * 2_000_000, "<script>", "{{x}}", "../../etc/passwd", "2026-13-45T99:99:99Z", _deep(100),
    [{"a": 1}, "b", 2, None], {"a\r\nb": "c", "\udfff": "d", "a.b[0]": 1},
)
"""Put in place of every field in turn: null, empty, huge, wrong types, text that breaks formats."""


def mangled(event: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Copies of the event with one field each replaced or removed, and some that are hostile whole."""
    for path in _paths(event):
        yield _without(event, path)
        for value in VALUES:
            yield _with(event, path, value)
    yield {**copy.deepcopy(dict(event)), "properties": _deep(300), "traits": _deep(300)}
    for key in ("context", "properties", "traits", "integrations", "timestamp", "messageId", "header",
                "fullPath", "appendPath", "request_ip", "userId", "anonymousId", "event"):
        for value in VALUES:
            yield {**copy.deepcopy(dict(event)), key: value}


def _paths(value: Any, prefix: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items: Any = ()
    if isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, item in items:
        if prefix or key != "type":
            yield (*prefix, key)
            yield from _paths(item, (*prefix, key))


def _with(event: Mapping[str, Any], path: Sequence[Any], value: Any) -> dict[str, Any]:
    made: dict[str, Any] = copy.deepcopy(dict(event))
    inner: Any = made
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return made


def _without(event: Mapping[str, Any], path: Sequence[Any]) -> dict[str, Any]:
    made: dict[str, Any] = copy.deepcopy(dict(event))
    inner: Any = made
    for step in path[:-1]:
        inner = inner[step]
    del inner[path[-1]]
    return made


def events_like(samples: Sequence[Mapping[str, Any]], count: int) -> list[Event]:
    """Many events of seven users, of different sizes, made from samples."""
    made: list[Event] = []
    for i in range(count):
        message = copy.deepcopy(dict(samples[i % len(samples)]))
        message["messageId"] = f"m-{i}"
        message["anonymousId"] = message["userId"] = f"user-{i % 7}"
        message["padding"] = "x" * (i * 37 % 400)
        made.append(Event(codec.dumps(message), key=1 + i % 7, number=i, source="crowd"))
    return made
