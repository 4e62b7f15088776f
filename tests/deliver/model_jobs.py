"""The model's tool of jobs: an exchange that makes one, sends it in steps, and asks until it is done."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from model_world import Attempt, Ident, Side, idents

from destinations.webhook import Webhook
from destinations.webhook.settings import WebhookSettings
from turnout.destination import Context, Exchange, judge
from turnout.event import Event
from turnout.request import Checkpoint, Json, JsonArray, Request, Response
from turnout.verdict import retry

__all__ = ["Jobs", "Stepped"]

STEPS = 3
POLLS = 2
"""Most times that a job is said to run on."""


@dataclass
class Work:
    """A job as the tool has it: its items, and the step that is known to be stored at our side."""

    items: list[Ident]
    attempts: list[Attempt]
    polls: int
    reached: int = 0
    ended: bool = False
    """What it came to was told: whoever was not delivered may be sent in another."""


@dataclass
class Jobs:
    """Takes the requests of `Stepped` and judges them, as `Sender` does; a `Sender` of the engine.

    A job of which we hold a checkpoint is gone on with from there, with the same events in the same order, over
    every crash, until it ends or one of its events has waited for `retry_for`.
    """

    side: Side
    expected: dict[str, list[tuple[int, int, int]]]
    retry_for: float
    works: list[Work] = field(default_factory=list)

    async def send(self, request: Request, timeout: float) -> Response:
        """One request, which takes the side's latency."""
        side, life, body = self.side, self.side.life, request.body
        made: list[Attempt] = []
        if isinstance(body, JsonArray):
            items = idents(request)
            self._may_begin(items)
            made = side.begin(items, self.expected)
        else:
            assert isinstance(body, Json)
            items = self._goes_on(body.value)
            side.leaves(items, self.expected)
        try:
            await asyncio.sleep(min(side.latency, timeout))
        except asyncio.CancelledError:
            if side.life == life:
                side.lands(items)
            raise
        side.lands(items)
        response = side.refuses() if side.latency < timeout else Response(0, error="timed out")
        if response is None:
            return self._begun(items, made) if made else self._told(body.value)
        for attempt in made:
            attempt.status = response.status
        return response

    async def close(self) -> None:
        """Nothing is held."""

    def stored(self, job: int, step: int) -> None:
        """The engine says that a checkpoint is durable."""
        self.works[job].reached = step

    def _may_begin(self, items: Sequence[Ident]) -> None:
        now = self.side.clock.monotonic()
        for work in self.works:
            old = any(now - self.side.tried[item][0].at >= self.retry_for for item in work.items)
            if work.reached and not work.ended and not old and (twice := set(items) & set(work.items)):
                self.side.wrong.append(f"{twice} are in a second job beside {work}")

    def _begun(self, items: list[Ident], made: list[Attempt]) -> Response:
        self.works.append(Work(items, made, self.side.random.randint(0, POLLS)))
        return Response(200, {}, json.dumps({"job": len(self.works) - 1}).encode())

    def _goes_on(self, said: dict[str, Any]) -> list[Ident]:
        work = self.works[said["job"]]
        items: list[Ident] = [(user, n, 0) for user, n in said["items"]]
        if items != work.items:
            self.side.wrong.append(f"job {said['job']} has {work.items}, and goes on with {items}")
        if said["step"] not in (work.reached, work.reached + 1):  # stored, and killed before it was said
            self.side.wrong.append(f"job {said['job']} goes on from {said['step']}, {work.reached} was stored")
        return work.items

    def _told(self, said: dict[str, Any]) -> Response:
        work = self.works[said["job"]]
        if said["step"] < STEPS:
            return Response(200)
        if work.polls:
            work.polls -= 1
            return Response(202)
        statuses = [self.side.status(item) for item in work.items]
        work.ended = True
        for attempt, status in zip(work.attempts, statuses, strict=True):
            attempt.status = status
        return Response(207, {}, json.dumps(statuses).encode())


class Stepped(Webhook):
    """The adapter of such a tool."""

    resumable: ClassVar = True

    def __init__(self, settings: WebhookSettings, jobs: Jobs) -> None:
        super().__init__(settings)
        self.jobs = jobs

    def exchange(self, events: Sequence[Event], at: Context, resume: Any | None = None) -> Exchange:
        """Make a job, two more steps, ask; a checkpoint after each."""
        url, everyone = self.settings.webhook_url.get_secret_value(), tuple(range(len(events)))
        items = [(event.message["userId"], event.message["properties"]["n"]) for event in events]
        state, step = resume, 0
        while step < STEPS:
            step = state["step"] if state else 0
            body = JsonArray([e.message for e in events]) if state is None else Json({**state, "items": items})
            response = yield Request("POST", url, body, events=everyone)
            assert response is not None
            if response.status == 202:
                return [retry("the job is running", after=2.0)] * len(events)
            if response.status not in (200, 207):
                return [self.judge(response, at)] * len(events)
            if step < STEPS:
                state = {**(state or response.json()), "step": step + 1}
                yield Checkpoint(state)
                self.jobs.stored(state["job"], state["step"])
        found = [judge(Response(status), at.now) for status in json.loads(response.body)]
        if not all(verdict.final for verdict in found):
            yield Checkpoint(None)
        return found
