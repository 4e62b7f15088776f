"""Looking into events that may hold anything."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout import Event, paths
from turnout.errors import Refused

ANY = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=10,
)

STEADY = settings(deadline=None, derandomize=True)
"""The same cases on every run, however busy the machine."""
STEPS = st.lists(st.text("ab", min_size=1, max_size=2) | st.integers(0, 3), max_size=5)


def walk(value, steps):
    for step in steps:
        try:
            value = value[step] if isinstance(value, dict | list) else paths.MISSING
        except (KeyError, IndexError, TypeError):
            return paths.MISSING
    return value


@STEADY
@given(ANY, STEPS)
def test_a_path_is_the_same_as_walking(value, steps) -> None:
    path = "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in steps).lstrip(".")
    assert paths.get(value, path) is walk(value, steps)


@STEADY
@given(ANY, st.text(max_size=10))
def test_no_path_and_no_message_raises(value, path) -> None:
    paths.get(value, path)
    paths.first(value, path, "a.b[0]")


def test_first_takes_what_says_something() -> None:
    message = {"a": None, "b": "", "c": {"d": [False]}, "e": 0}
    assert paths.first(message, "a", "b", "x", "c.d[0]", "e") is False
    assert paths.first(message, "a", "b", "x", default="none") == "none"
    assert paths.get(message, "a") is None
    assert paths.get(message, "x") is paths.MISSING
    assert not paths.MISSING


@pytest.mark.parametrize(
    ("message", "kind", "ident"),
    [
        ({"type": "Track", "messageId": "m"}, "track", "m"), ({}, "", ""), ({"messageId": 12}, "", "12"),
        ({"type": 3, "messageId": True}, "", ""), ({"type": None, "messageId": {"a": 1}}, "", ""),
    ],
)
def test_kind_and_id_of_anything(message, kind, ident) -> None:
    event = Event(message=message)
    assert (event.kind, event.message_id) == (kind, ident)
    assert Event(event.raw).message == message


@pytest.mark.parametrize("raw", [b"[]", b"1", b"null", b"{", b"\xff", b'"x"'])
def test_bytes_that_are_no_event_are_refused(raw) -> None:
    with pytest.raises(Refused):
        _ = Event(raw).message


def test_an_event_is_decoded_once_and_shows_no_payload() -> None:
    event = Event(b'{"email":"ines@example.com"}', number=3, child=1, source="web")
    assert event.message is event.message
    assert repr(event) == "<Event 3.1 from 'web'>"
    assert event.get("email") == event.first("nothing", "email") == "ines@example.com"
    with pytest.raises(TypeError):
        Event()


def test_what_is_read_is_the_callers_own_until_the_message_is_kept() -> None:
    event = Event(b'{"n":1}')
    own = event.read()
    own["n"] = 2
    assert not event.decoded
    assert event.message == {"n": 1}
    assert event.decoded
    assert event.read() is event.message


def test_what_is_made_of_an_event_is_made_once_and_an_error_is_not_remembered() -> None:
    calls: list[str] = []

    def made(event: Event) -> dict[str, Any]:
        calls.append(event.kind)
        if len(calls) == 1:
            raise Refused("bad", "not this time")
        return {"kind": event.kind}

    event = Event(b'{"type":"Track"}')
    with pytest.raises(Refused):
        event.once(made)
    assert event.once(made) is event.once(made)
    assert calls == ["track", "track"]
    assert Event(b'{"type":"Page"}').once(made) == {"kind": "page"}
