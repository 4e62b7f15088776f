"""User deletion: tools are asked to forget users, at once and beside the events."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

from dataplane.deliver import exchange
from dataplane.deliver.courier import Courier
from dataplane.deliver.engine import Engine
from turnout.destination import Context
from turnout.errors import Fixable, Refused
from turnout.request import Request, Response
from turnout.spelling import unknown
from turnout.user import User
from turnout.verdict import Outcome, Verdict, retry

__all__ = ["MOST", "VERBS"]

MOST = 100
"""Users in one call."""
BUDGET = 10.0
"""Seconds after which a call begins with no further users: they are `unsent`, for the next call."""
TIMEOUT = 15.0
"""Most seconds for one request, whatever `delivery.timeout` says: somebody waits for the answer."""
_GROUPS = {Outcome.DELIVERED: "done", Outcome.FILTERED: "skipped", Outcome.DEAD: "failed", Outcome.PAUSE: "failed",
           Outcome.RETRY: "retry"}


async def _forget(engine: Engine, args: dict[str, Any]) -> dict[str, Any]:
    """Ask destinations to forget `users`; `destinations` are ids, without them all. `dry_run` asks nobody, and says
    what would become of it now: `would_ask` users would be asked about, the others have a reason.

    `{"destinations": {id: {"type", "outcome", "done", "skipped", "failed", "retry", "reasons": {reason: n},
    "again": [index…], "would_ask": n, "unsent": [index…], "retry_after"}}}`; indices are those of `users`, and
    `outcome` is done, failed, retry, or not_supported.
    """
    users = [_user(one, place) for place, one in enumerate(args.get("users") or [])]
    if not users or len(users) > MOST:
        raise Fixable(f"give 1 to {MOST} users in one call")
    wanted = args.get("destinations") or list(engine.couriers)
    for ident in wanted:
        if ident not in engine.couriers:
            raise Fixable(unknown("destination", ident, engine.couriers))
    dry = bool(args.get("dry_run"))
    couriers = [engine.couriers[ident] for ident in dict.fromkeys(wanted)]
    told = await asyncio.gather(*(_at(courier, users, dry) for courier in couriers))
    return {"destinations": dict(zip([courier.plan.id for courier in couriers], told, strict=True))}


def _user(row: Any, place: int) -> User:
    try:
        return User.read(row)
    except Refused as error:
        raise Fixable(f"user {place + 1}: {error.message}") from None


async def _at(courier: Courier, users: Sequence[User], dry: bool) -> dict[str, Any]:
    adapter = courier.plan.adapter
    found: list[Verdict | None] = [None] * len(users)
    if adapter.forgets and dry:
        found = [_would(courier, user) for user in users]
    elif adapter.forgets:
        until = asyncio.get_running_loop().time() + BUDGET
        for start in range(0, len(users), adapter.forgets):
            if start and asyncio.get_running_loop().time() > until:
                break
            chunk = users[start : start + adapter.forgets]
            found[start : start + len(chunk)] = await _ask(courier, chunk)
    counts: Counter[str] = Counter(_GROUPS[one.outcome] for one in found if one is not None)
    reasons = Counter(one.reason for one in found if one is not None and one.reason)
    after = [one.after for one in found if one is not None and one.after is not None]
    return {
        "type": adapter.slug,
        "outcome": _outcome(adapter.forgets > 0, counts),
        **{group: counts[group] for group in ("done", "skipped", "failed", "retry")},
        "reasons": dict(reasons),
        "again": [i for i, one in enumerate(found) if one is not None and _GROUPS[one.outcome] in ("failed", "retry")],
        "would_ask": found.count(None) if adapter.forgets and dry else 0,
        "unsent": [i for i, one in enumerate(found) if one is None] if adapter.forgets and not dry else [],
        "retry_after": max(after, default=None),
    }


def _outcome(supported: bool, counts: Counter[str]) -> str:
    if not supported:
        return "not_supported"
    return "failed" if counts["failed"] else "retry" if counts["retry"] else "done"


async def _ask(courier: Courier, users: Sequence[User]) -> list[Verdict]:
    """One verdict per user; the destination's rate, throttling and pauses hold for these requests too."""
    plan, condition = courier.plan, courier.condition
    if (held := _held(courier)) is not None:
        return [held] * len(users)
    loop = asyncio.get_running_loop()
    timeout = min(TIMEOUT, plan.delivery.timeout.total_seconds())

    async def send(request: Request, _: Sequence[User]) -> Response:
        while (wait := condition.wait()) > 0:
            if (later := _later(courier)) is not None:
                return Response(0, error=later)
            await asyncio.sleep(wait)
        condition.paced(plan.delivery.rate)
        started = loop.time()
        response = await plan.sender.send(request, timeout)
        courier.seconds += loop.time() - started
        courier.statuses[response.status] += 1
        return response

    return await exchange.forget(plan.adapter, users, Context(courier.clock.now(), plan.delivery), send)


def _held(courier: Courier) -> Verdict | None:
    """Why a destination is asked for nothing until a person says so."""
    held = courier.held
    return None if held is None else retry(f"the destination is {held.state}: {held.reason}")


def _later(courier: Courier) -> str | None:
    """Why a destination is asked for nothing in this call."""
    wait = courier.condition.wait()
    later = wait > BUDGET or (wait > 0 and courier.condition.down)
    return f"nothing is sent to it now, for {wait:.0f} s" if later else None


def _would(courier: Courier, user: User) -> Verdict | None:
    """What a user gets without any request; None where the tool would be asked."""
    plan = courier.plan
    if (held := _held(courier)) is not None:
        return held
    try:
        next(plan.adapter.forget([user], Context(courier.clock.now(), plan.delivery)))
    except StopIteration as stop:
        return stop.value[0] if len(stop.value) == 1 else None
    except Exception as error:  # noqa: BLE001 -- an adapter may be a third party's, and fails so when it is asked
        return exchange.failed(error)
    later = _later(courier)
    return None if later is None else retry(later)


VERBS = {"forget": _forget}
