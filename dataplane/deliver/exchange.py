"""Runs an adapter over some events: sends what it yields and hands it the answers."""

from __future__ import annotations

import math
import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from dataplane.metrics.log import logger
from turnout.bounds import Bounded, Endless
from turnout.destination import BEHIND, UNSENT, Client, Context, Destination
from turnout.errors import Refused
from turnout.event import Event
from turnout.request import Checkpoint, Json, JsonArray, Record, Request, Response
from turnout.user import User
from turnout.verdict import Outcome, Verdict, dead, retry

__all__ = ["Client", "Keeper", "Sender", "Sent", "Unauthorized", "all_delivered", "failed", "forget", "run"]

log = logger()


class Sender(Protocol):
    """What sends HTTP for a destination; `dataplane.deliver.http.Sender` in production."""

    async def send(self, request: Request, timeout: float) -> Response:
        """Send once, `timeout` in seconds; never raises for trouble on the network."""
        ...

    async def close(self) -> None:
        """Close connections."""
        ...


NO_TOKEN = retry("no access token")
AFTER_ENDLESS = retry(f"{UNSENT}an event before it made the adapter ask without an end")


@dataclass(frozen=True, slots=True)
class Unauthorized(Response):
    """No answer, since there was no access token to ask with; `verdict` is what that means for the events."""

    verdict: Verdict = NO_TOKEN


class Sent(NamedTuple):
    """One event's verdict, with the last request it was in and the answer to that."""

    verdict: Verdict
    request: Request | None = None
    response: Response | None = None


def all_delivered(sent: Sequence[Sent]) -> bool:
    """Whether every event was delivered. Those of one request mostly are one and the same value."""
    if not sent or (sent[0] is sent[-1] and sent.count(sent[0]) == len(sent)):
        return not sent or sent[0].verdict.outcome is Outcome.DELIVERED
    return all(one.verdict.outcome is Outcome.DELIVERED for one in sent)


Send = Callable[[Request, Sequence[Event]], Awaitable[Response]]
"""Sends a request that carries some of these events (`Request.events` are indices of them)."""


class Keeper(Protocol):
    """Who keeps the checkpoints of an exchange; `dataplane.deliver.jobs.Job` in production."""

    state: Any
    """What to go on from; None at the beginning."""

    async def keep(self, checkpoint: Checkpoint) -> None:
        """Make it durable; raises `Refused` for one that cannot be kept."""
        ...


async def run(
    adapter: Destination[Any], events: Sequence[Event], at: Context, send: Send, client: Client | None,
    *, keeper: Keeper | None = None,
) -> list[Sent]:
    """One `Sent` per event, in order. An adapter that raises kills only the event it raises on; one with
    checkpoints all of them, since trying them one by one may submit some twice."""
    try:
        return await _tried(adapter, events, at, send, client, keeper=keeper)
    except Exception as error:  # noqa: BLE001 -- an adapter may be a third party's; the fault is kept and shown
        if len(events) > 1 and keeper is None:
            return await _one_by_one(adapter, events, at, send, client)
        return _failed(adapter, error, len(events))


async def _tried(
    adapter: Destination[Any], events: Sequence[Event], at: Context, send: Send, client: Client | None,
    *, keeper: Keeper | None = None,
) -> list[Sent]:
    if client is not None:
        return _sound(adapter, await _records(adapter, events, at, client))
    steps = adapter.exchange(events, at) if keeper is None else adapter.exchange(events, at, keeper.state)
    bounded = Bounded(adapter.slug, steps, len(events))
    return _sound(adapter, await _requests(adapter, bounded, events, send, keeper))


async def _one_by_one(
    adapter: Destination[Any], events: Sequence[Event], at: Context, send: Send, client: Client | None
) -> list[Sent]:
    """Each event for itself. Those behind one that makes the adapter ask without an end wait, since that takes long."""
    found: list[Sent] = []
    for event in events:
        try:
            found += await _tried(adapter, [event], at, send, client)
        except Exception as error:  # noqa: BLE001 -- as in `run`
            found += _failed(adapter, error, 1)
            if isinstance(error, Endless):
                return found + [Sent(AFTER_ENDLESS)] * (len(events) - len(found))
    return found


def _failed(adapter: Destination[Any], error: Exception, events: int) -> list[Sent]:
    found = failed(error)
    log.error("deliver.adapter_error", destination=adapter.slug, error=found.reason)
    return [Sent(found)] * events


def failed(error: Exception) -> Verdict:
    """What an adapter's exchange that raises makes of what it was about."""
    return dead(f"adapter error: {_where(error)}")


def _where(error: Exception) -> str:
    """Our own sentence; of others' errors kind and place, since a message may quote the event."""
    if isinstance(error, Refused):
        return error.message
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}"


def _sound(adapter: Destination[Any], sent: list[Sent]) -> list[Sent]:
    """What an adapter said, which may be anyone's: what is no verdict makes its event dead, and nothing else fail."""
    if sent and sent[0] is sent[-1] and type(sent[0].verdict) is Verdict and all_delivered(sent):  # as nearly always
        return sent
    for i, one in enumerate(sent):
        verdict = one.verdict
        if type(verdict) is Verdict and (verdict.outcome is Outcome.DELIVERED or _plain(verdict)):
            continue
        log.error("deliver.adapter_error", destination=adapter.slug, error="its verdict is none")
        sent[i] = one._replace(verdict=dead(f"adapter error: {adapter.slug} gave a verdict that is none"))
    return sent


def _plain(verdict: Verdict) -> bool:
    status, after = verdict.status, verdict.after
    return (
        isinstance(verdict.outcome, Outcome) and isinstance(verdict.reason, str)
        and (status is None or (isinstance(status, int) and 0 <= status < 1_000))
        and (after is None or (isinstance(after, int | float) and math.isfinite(after)))
    )  # fmt: skip


async def _requests(
    adapter: Destination[Any], steps: Bounded, asked_for: Sequence[Any],
    send: Callable[[Request, Any], Awaitable[Response]], keeper: Keeper | None,
) -> list[Sent]:
    """Answer what an adapter asks for some events or users, until it is through."""
    made: list[tuple[Request, Response]] = []
    answer: Response | None = None
    refused: Unauthorized | None = None
    while True:
        try:
            asked = steps.send(answer)
        except StopIteration as stop:
            verdicts: Sequence[Verdict] = stop.value
            break
        if isinstance(asked, Checkpoint):
            if keeper is None:
                raise Refused("checkpoint", f"{adapter.slug} yields a checkpoint without being `resumable`")
            await keeper.keep(asked)
            answer = None
            continue
        answer = refused or await send(asked, asked_for)
        if type(answer) is Unauthorized:
            refused = answer
        made.append((asked, answer))
    if len(verdicts) != len(asked_for):
        raise RuntimeError(f"{adapter.slug} gave {len(verdicts)} verdicts for {len(asked_for)}")
    if refused is not None:
        verdicts = [_unsent(verdict, refused.verdict) for verdict in verdicts]
    if len(made) == 1 and len(made[0][0].events) == len(verdicts) == verdicts.count(verdicts[0]) \
            and verdicts[0].outcome is Outcome.DELIVERED:  # as nearly always
        return [Sent(verdicts[0], *made[0])] * len(verdicts)
    last = {index: one for one in made for index in one[0].events}
    sent = [Sent(verdict, *last.get(i, (None, None))) for i, verdict in enumerate(verdicts)]
    if any(verdict.outcome is Outcome.DEAD for verdict in verdicts):
        return [_alone(one, i) for i, one in enumerate(sent)]
    return sent


async def forget(
    adapter: Destination[Any], users: Sequence[User], at: Context,
    send: Callable[[Request, Sequence[User]], Awaitable[Response]],
) -> list[Verdict]:
    """One verdict per user, in order; an adapter that raises has failed for all of them."""
    try:
        steps = Bounded(adapter.slug, adapter.forget(users, at), len(users))
        sent = _sound(adapter, await _requests(adapter, steps, users, send, None))
    except Exception as error:  # noqa: BLE001 -- as in `run`
        found = failed(error)
        log.error("deliver.adapter_error", destination=adapter.slug, error=found.reason)
        return [found] * len(users)
    return [one.verdict for one in sent]


def _unsent(verdict: Verdict, instead: Verdict) -> Verdict:
    """What an event gets that waits since no access token was to be had: an adapter only sees that no answer came."""
    waits = type(verdict) is Verdict and verdict.outcome is Outcome.RETRY and verdict.reason != BEHIND
    return instead if waits else verdict


def _alone(sent: Sent, index: int) -> Sent:
    """A dead event with its own part of the request, where the body is an array with one for each, or has one."""
    asked = sent.request
    if sent.verdict.outcome is not Outcome.DEAD or asked is None or len(asked.events) < 2:
        return sent
    if isinstance(asked.body, JsonArray) and len(asked.body.values) == len(asked.events):
        return sent._replace(request=replace(asked, body=JsonArray(_own(asked, asked.body.values, index))))
    whole = asked.body.value if isinstance(asked.body, Json) else None
    if not isinstance(whole, dict):
        return sent
    lists = [name for name, value in whole.items() if isinstance(value, list) and len(value) == len(asked.events)]
    if len(lists) != 1:
        return sent
    return sent._replace(request=replace(asked, body=Json({**whole, lists[0]: _own(asked, whole[lists[0]], index)})))


def _own(asked: Request, values: Sequence[Any], index: int) -> list[Any]:
    return [value for one, value in zip(asked.events, values, strict=True) if one == index]


async def _records(
    adapter: Destination[Any], events: Sequence[Event], at: Context, client: Client
) -> list[Sent]:
    found: list[Verdict | None] = []
    records: list[Record] = []
    for event in events:
        made = adapter.verdict(event, at)
        if isinstance(made, Record):
            records.append(made)
            found.append(None)
        elif isinstance(made, Verdict):
            found.append(made)
        else:
            raise TypeError(f"{adapter.slug} has a client, so it must return records")
    written = iter(await client.write(records) if records else ())
    lost = retry("the client gave no verdict")
    return [Sent(next(written, lost) if verdict is None else verdict) for verdict in found]
