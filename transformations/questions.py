"""What scripts ask in the middle of a run, read without trust, and answered by whoever may reach out."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import msgspec

from transformations.base import Answer, Question, Reach, Script
from transformations.sandbox import wire

__all__ = ["Questions"]

log = logging.getLogger(__name__)

Away = Callable[[], AbstractAsyncContextManager[None]]
"""Leaves the seat of the run while it waits, and takes one again."""
PER_EVENT = 20
"""Questions for each event of a batch, where that is more than a run has anyway."""
MOST_WAITING = 60.0
"""Seconds a run may wait in all; what it asks later is an error."""


class _Asked(msgspec.Struct):
    id: int
    verb: str
    args: list[Any]


_decode = msgspec.json.Decoder(list[_Asked]).decode
_encode = msgspec.json.Encoder().encode


class Questions:
    """Those of one run of a script; without `reach` every one is answered with an error."""

    def __init__(self, script: Script, reach: Reach | None, away: Away = nullcontext, events: int = 0) -> None:
        self._script = script
        self._reach = reach
        self._away = away
        self._most = max(wire.MAX_ASKS, PER_EVENT * events)
        self.count = 0
        self.waited = 0.0

    async def __call__(self, payload: bytes) -> bytes:
        """Answer an ASK payload; raises `wire.Garbled` for what no honest worker sends."""
        if len(payload) > wire.MAX_ASK:
            raise wire.Garbled("asks too much at once")
        try:
            asked = _decode(memoryview(payload)[1:])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise wire.Garbled("asked what cannot be read") from None
        self.count += len(asked)
        if self.count > self._most:
            raise wire.Garbled(f"asks more than {self._most} times in one run")
        begun = time.monotonic()
        async with self._away():
            answers = await self._answers([Question(one.verb, tuple(one.args)) for one in asked])
        self.waited += time.monotonic() - begun
        return _encode([
            {"id": one.id, "value": answer.value} if answer.error is None else {"id": one.id, "error": answer.error}
            for one, answer in zip(asked, answers, strict=True)
        ])

    async def _answers(self, questions: list[Question]) -> list[Answer]:
        if self.waited > MOST_WAITING:
            return [Answer(error=f"the run has waited {MOST_WAITING:g} s already") for _ in questions]
        if self._reach is None:
            return [Answer(error=f"{one.verb} is not available here") for one in questions]
        try:
            return list(await self._reach(self._script, questions))
        except Exception:
            # Ours to mend; but an event that brings it about must not stop what its destination reads.
            log.exception("what the transformation %s asked could not be answered", self._script.name)
            return [Answer(error=f"{one.verb} failed") for one in questions]
