"""One call of the pool: what is left of it, and what each answer of a worker means."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from transformations import replies
from transformations.base import Failed, Item, Ran, Reach, Script
from transformations.sandbox import wire
from transformations.sandbox.parent import Lost
from transformations.standing import Standing
from turnout.errors import Overfull

__all__ = ["Job"]

OUTPUT = 64
"""Bytes that an output takes beside its own: many small ones fill the memory, too."""
PATIENT = 5
"""How many workers killed from outside a batch outlives as a whole; then its events are tried alone."""

Kind = Literal["error", "timeout", "memory", "crash"]


@dataclass(slots=True)
class Job:
    """Lists of indices still to be run together. `standing` is None for a look at a script: a trial, a probe.
    `size` is how many bytes the results have so far.

    `killed(job, kind, blame)` is told of every worker that was lost.
    """

    script: Script
    key: tuple[Any, ...]
    items: Sequence[Item]
    results: list[Ran | None]
    todo: deque[list[int]]
    reach: Reach | None
    killed: Callable[[Job, str, bool], None]
    standing: Standing | None = None
    flags: int = 0
    outside: int = 0
    size: int = 0
    logs: list[str] = field(default_factory=list)

    def settle(self, chunk: list[int], events: Sequence[bytes], answer: bytes) -> bool:
        """Take in the answer to these events; True when the worker is not to be used again. Raises `Garbled`."""
        if answer[0] == wire.FAULT:
            fault = replies.fault(answer)
            where = f"{fault.file or self.script.file or self.script.name}:{fault.line or 1}"
            if fault.kind != "error" and self.standing is not None:  # no event is to blame: until it is stopped
                self.todo.appendleft(chunk)
                self.killed(self, fault.kind, True)
                return True
            for i in chunk:
                self.results[i] = Failed(f"{where}: {replies.masked(fault.message, self.script)}", fault.kind)
            if fault.kind != "error":
                self.killed(self, fault.kind, True)
            return fault.kind != "error"
        reply = wire.read_reply(answer, len(chunk))
        self.size += len(answer) + OUTPUT * len(reply.blobs)
        again: list[int] = []
        alone: list[int] = []
        hurt: Kind | None = None
        blobs, at = reply.blobs, 0
        if self.standing is not None and any(code >= 0 or code == wire.ERROR for code in reply.codes):
            self.standing.breaker.finished()
        if min(reply.codes) >= 0 and max(reply.codes) <= 1:
            made = replies.single(blobs, events, reply.codes, self.script, sound=reply.sound)
            for i, ran in zip(chunk, made, strict=True):
                self.results[i] = ran
            return self._logged(reply)
        for place, (i, code) in enumerate(zip(chunk, reply.codes, strict=True)):
            start, at = at, at + wire.held(code)
            if code >= 0:
                self.results[i] = replies.outputs(blobs[start:at], self.script, sound=reply.sound)
            elif code == wire.ERROR:
                self.results[i] = Failed(replies.masked(replies.text(blobs[start]), self.script))
            elif code == wire.NOT_RUN:
                again.append(i)
            else:
                hurt = "timeout" if code == wire.TIMEOUT else "memory"
                # The first of a list had all the time there is; others are tried alone once.
                if place == 0 and (len(chunk) == 1 or reply.codes[1] == wire.NOT_RUN):
                    name = self.script.file or self.script.name
                    self.results[i] = Failed(f"{name}: {replies.text(blobs[start])}", hurt)
                else:
                    alone.append(i)
        if len(again) == len(chunk):
            raise wire.Garbled("the worker ran nothing")
        if again:
            self.todo.appendleft(again)
        self.todo.extendleft([i] for i in alone)  # before the others: what they finish tells it from a broken script
        if hurt:
            self.killed(self, hurt, True)
        self._logged(reply)
        return bool(hurt)

    def overfull(self, most: int) -> Overfull:
        """What is raised where the results are more than `most` bytes, and some are still to come."""
        return Overfull(
            f"{self.script.name}: what it makes of {len(self.items)} events is more than {most:,} bytes",
            script=self.script.name, most=most, share=sum(ran is not None for ran in self.results) / len(self.items),
        )  # fmt: skip

    def _logged(self, reply: wire.Reply) -> bool:
        if reply.logs:
            self.logs.extend(replies.lines(reply.logs))
        return False

    def lost(self, chunk: list[int], error: Lost | wire.Garbled) -> None:
        """A worker ended over a list: try its events alone, or blame the one that was."""
        kind: Kind = "crash"
        if isinstance(error, Lost):
            kind = "timeout" if error.timeout else "memory" if error.memory else "crash"
        patient = isinstance(error, Lost) and error.outside and self.outside < PATIENT
        self.killed(self, kind, not patient)
        if patient:
            self.outside += 1
            self.todo.appendleft(chunk)
        elif len(chunk) == 1:
            name = self.script.file or self.script.name
            self.results[chunk[0]] = Failed(f"{name}: the script {error}", kind)
        else:
            self.todo.extendleft([i] for i in reversed(chunk))
