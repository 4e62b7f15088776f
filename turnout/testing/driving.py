"""Runs an exchange without a network: a function answers instead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from turnout.bounds import Bounded
from turnout.destination import Context, Destination
from turnout.event import Event
from turnout.request import Checkpoint, Request, Response
from turnout.user import User
from turnout.verdict import Verdict

__all__ = ["drive", "drive_forget", "drive_on"]


def drive(
    adapter: Destination[Any],
    events: Sequence[Event],
    at: Context,
    answer: Callable[[Request], Response],
    resume: Any | None = None,
) -> tuple[Sequence[Verdict], list[Request]]:
    """The verdicts and the requests, in sending order; a tool of records is judged, not sent.

    Checkpoints must be such as the engine keeps; they are accepted and not kept.
    """
    if adapter.records:
        raise TypeError(f"{adapter.slug} returns records: its client.py delivers them")
    return _through(adapter, Bounded(adapter.slug, adapter.exchange(events, at, resume), len(events)), answer)


def drive_forget(
    adapter: Destination[Any], users: Sequence[User], at: Context, answer: Callable[[Request], Response]
) -> tuple[Sequence[Verdict], list[Request]]:
    """The verdicts of a user deletion and its requests, in sending order."""
    return _through(adapter, Bounded(adapter.slug, adapter.forget(users, at), len(users)), answer)


def _through(
    adapter: Destination[Any], steps: Bounded, answer: Callable[[Request], Response]
) -> tuple[Sequence[Verdict], list[Request]]:
    sent: list[Request] = []
    reply: Response | None = None
    while True:
        try:
            asked = steps.send(reply)
        except StopIteration as stop:
            verdicts: Sequence[Verdict] = stop.value
            return verdicts, sent
        if isinstance(asked, Checkpoint):
            _plain(adapter, asked)
            reply = None
            continue
        sent.append(asked)
        reply = answer(asked)


def drive_on(
    adapter: Destination[Any],
    events: Sequence[Event],
    at: Context,
    answer: Callable[[Request], Response],
    *,
    killed: int = -1,
    calls: int = 100,
) -> tuple[Sequence[Verdict], int]:
    """The verdicts of a resumable exchange that is called until it ends, and how many steps that took.

    It is killed once, at step `killed` (from 0; a step is a request or a checkpoint): that was answered,
    or is kept, and the adapter never hears of it. Raises AssertionError where `calls` do not end it.
    """
    state: Any = None
    steps = 0
    for _ in range(calls):
        exchange = Bounded(adapter.slug, adapter.exchange(events, at, state), len(events))
        reply: Response | None = None
        while True:
            try:
                asked = exchange.send(reply)
            except StopIteration as stop:
                verdicts: Sequence[Verdict] = stop.value
                if state is None or all(verdict.final for verdict in verdicts):
                    return verdicts, steps
                break
            if isinstance(asked, Checkpoint):
                state, reply = _plain(adapter, asked), None
            else:
                reply = answer(asked)
            steps += 1
            if steps - 1 == killed:
                exchange.close()
                break
    raise AssertionError(f"{adapter.slug}: the exchange did not end in {calls} calls")


def _plain(adapter: Destination[Any], checkpoint: Checkpoint) -> Any:
    if not adapter.resumable:
        raise TypeError(f"{adapter.slug} yields a checkpoint without being `resumable`")
    return checkpoint.plain()
