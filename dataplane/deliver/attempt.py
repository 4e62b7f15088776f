"""One exchange of a courier: timed, counted, written to the journal, and what it says about the tool."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dataplane.deliver import exchange
from dataplane.deliver.exchange import Sent
from dataplane.deliver.jobs import Job
from dataplane.deliver.plan import Plan
from turnout.destination import Context
from turnout.event import Event
from turnout.request import Request, Response

if TYPE_CHECKING:
    from dataplane.deliver.courier import Courier

__all__ = ["attempt"]


async def attempt(
    courier: Courier, plan: Plan, events: Sequence[Event], number: int = 1, job: Job | None = None,
    *, keys: Sequence[int] | None = None,
) -> list[Sent]:
    """Send events by a plan, the `number`th time for one of them; one `Sent` per event, in order.

    `job` keeps the checkpoints, and knows the one to go on from. `keys` are as `Plan.keys` says.
    """
    left = courier.clock.monotonic()
    at = Context(courier.clock.now(), plan.delivery, plan.replay.salt if plan.replay else "")
    timeout = plan.delivery.timeout.total_seconds()
    loop, journal = asyncio.get_running_loop(), courier.ledger.journal
    last: Response | None = None

    async def send(request: Request, carried: Sequence[Event]) -> Response:
        nonlocal last
        started = loop.time()
        last = response = await plan.sender.send(request, timeout)
        seconds = loop.time() - started
        courier.seconds += seconds
        courier.statuses[response.status] += 1
        journal.sent(plan.origin, carried, request.events, at=started, seconds=seconds,
                     status=response.status, error=response.error, attempt=number)  # fmt: skip
        return response

    begun = loop.time()
    sent = await exchange.run(plan.adapter, events, at, send, plan.client, keeper=job)
    if plan.client is not None:
        said = [one.verdict for one in sent]
        journal.written(plan.origin, events, said, at=begun, seconds=loop.time() - begun, attempt=number)
    if job is not None and job.waits(sent) and (last is None or 200 <= last.status < 300):
        back = courier.condition.answered(asked=last is not None)
    else:
        whose = (event.key for event in events) if keys is None else keys  # mostly nobody asks
        back = courier.condition.judge(sent, whose, left, plan.delivery.retry_after.total_seconds())
    if back:
        courier.hasten()
    return sent
