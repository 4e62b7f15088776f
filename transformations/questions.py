"""What scripts ask in the middle of a run, read without trust, and answered by whoever may reach out."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import msgspec

from transformations.base import Question, Reach, Script
from transformations.sandbox import wire

__all__ = ["Questions"]

log = logging.getLogger(__name__)

Away = Callable[[], AbstractAsyncContextManager[None]]
"""Leaves the seat of the run while it waits, and takes one again."""
PER_EVENT = 20
"""Questions for each event of a batch, where that is more than a run has anyway."""
MOST_WAITING = 60.0
"""Seconds a run may wait in all; what has no answer by then is told an error."""


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
        self._failed = False
        self.count = self.size = 0
        self.waited = 0.0

    async def __call__(self, payload: bytes) -> bytes:
        """Answer an ASK payload; raises `wire.Garbled` for what no honest worker sends."""
        self.size += len(payload)
        if len(payload) > wire.MAX_ASK or self.size > wire.MAX_ASKED:
            raise wire.Garbled("asks too much")
        try:
            asked = _decode(memoryview(payload)[1:])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise wire.Garbled("asked what cannot be read") from None
        self.count += len(asked)
        if not asked or self.count > self._most:
            raise wire.Garbled(f"asks nothing, or more than {self._most} times in one run")
        begun = time.monotonic()
        async with self._away():
            answers = await self._answers(asked)
        self.waited += time.monotonic() - begun
        return b"[" + b",".join(answers) + b"]"

    async def _answers(self, asked: Sequence[_Asked]) -> list[bytes]:
        """As JSON and in order; what comes too late, or has no room left, is an error."""
        room, left = wire.MAX_TELL, MOST_WAITING - self.waited
        late = f"the run has waited {MOST_WAITING:g} s already"
        if left <= 0:
            return [_told(one, late) for one in asked]

        async def answered(one: _Asked) -> bytes:
            nonlocal room
            found = await self._answer(one) if room > 0 else b""
            room -= len(found)
            return found if room > 0 else _told(one, f"the answers are larger than {wire.MAX_TELL:,} bytes together")

        tasks = [asyncio.create_task(answered(one)) for one in asked]
        try:
            await asyncio.wait(tasks, timeout=left)
        finally:
            for task in tasks:
                task.cancel()
        return [
            task.result() if task.done() and not task.cancelled() else _told(one, late)
            for one, task in zip(asked, tasks, strict=True)
        ]

    async def _answer(self, one: _Asked) -> bytes:
        if self._reach is None:
            return _told(one, f"{one.verb} is not available here")
        try:
            (answer,) = await self._reach(self._script, [Question(one.verb, tuple(one.args))])
            if answer.error is not None:
                return _told(one, answer.error)
            return _encode({"id": one.id, "value": answer.value})
        except Exception:
            # Ours to mend; but an event that brings it about must not stop what its destination reads.
            if not self._failed:  # said once a run: a script may ask a thousand times
                log.exception("what the transformation %s asked could not be answered", self._script.name)
            self._failed = True
            return _told(one, f"{one.verb} failed")


def _told(one: _Asked, error: str) -> bytes:
    return _encode({"id": one.id, "error": error})
