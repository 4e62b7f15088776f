"""What a destination may be able to do beside sending events, as a part of the contract: go on, forget."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

from turnout.destination import Context, Destination
from turnout.event import Event
from turnout.request import Request, Response
from turnout.testing.driving import drive_forget, drive_on
from turnout.testing.fake_clock import START
from turnout.testing.fixture import load
from turnout.testing.hostile import events_like
from turnout.testing.tool import Tool
from turnout.user import User
from turnout.verdict import Verdict

__all__ = ["Capabilities"]


class Capabilities:
    """A part of `DestinationContract`; a destination that cannot passes."""

    destination: ClassVar[type[Destination[Any]]]
    tool: ClassVar[type[Tool] | None] = None
    """Stands in for the tool of a resumable destination; its `taken` says what it took for good."""

    def _built(self) -> Destination[Any]:
        return load(self.destination)[0].build(self.destination)

    def _at(self, adapter: Destination[Any], **chosen: Any) -> Context:
        return Context(START, replace(adapter.delivery, **chosen))

    def _crowd(self, count: int) -> list[Event]:
        loaded = [f for f in load(self.destination) if f.settings == load(self.destination)[0].settings]
        return events_like([f.event for f in loaded], count)

    def test_a_killed_exchange_goes_on(self) -> None:
        """Killed at any step, a resumable exchange ends with the same verdicts, and submits nothing twice."""
        adapter = self._built()
        if not adapter.resumable:
            return
        assert self.tool is not None, "set `tool` to what stands in for it: see turnout.testing.Tool"
        events, at = self._crowd(5), self._at(adapter)
        with self.tool() as whole:
            expected, steps = drive_on(adapter, events, at, whole.send)
            taken = Counter(whole.taken)
        assert taken, "the tool took nothing: `taken` must say what it has for good"
        assert set(taken.values()) == {1}
        for step in range(steps):
            with self.tool() as tool:
                found, _ = drive_on(adapter, events, at, tool.send, killed=step)
                assert list(found) == list(expected), f"killed at step {step}, the verdicts are others"
                assert Counter(tool.taken) == taken, f"killed at step {step}, it took something else"

    def test_users_are_forgotten(self) -> None:
        """Where it says so: a verdict for each, pure, whatever stands in them; and else it says that it cannot."""
        kind = self.destination
        assert (kind.forgets > 0) == (kind.forget is not Destination.forget), "set `forgets` and forget() together"
        adapter = self._built()
        at = self._at(adapter)
        odd = [User("u\r\n/../\ud800?&", "no address", "a" * 900), User(email="ann@example.com"), User("1" * 900)]
        users = [User(f"u-{n}", f"u{n}@example.com", f"a-{n}", {"phone": None}) for n in range(3)] + odd
        size = max(1, kind.forgets)
        for start in range(0, len(users), size):
            chunk = users[start : start + size]
            for response in (Response(200), Response(404), Response(429), Response(500)):
                runs = [drive_forget(adapter, chunk, at, _always(response)) for _ in range(2)]
                assert runs[0] == runs[1], "not pure"
                verdicts, sent = runs[0]
                assert len(verdicts) == len(chunk)
                assert all(isinstance(verdict, Verdict) for verdict in verdicts)
                for request in sent:
                    assert all(isinstance(v, str) for v in (*request.headers.values(), *request.params.values()))
                    if request.body is not None:
                        request.body.encode()


def _always(response: Response) -> Callable[[Request], Response]:
    return lambda _: response
