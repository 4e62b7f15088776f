"""One run of a JavaScript script over a batch of events, in a worker."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from transformations import codec
from transformations.javascript.run import JSException, Late, Run
from transformations.placing import Placing
from transformations.program import Ask, Fault
from transformations.sandbox import wire

if TYPE_CHECKING:
    from transformations.javascript.program import JavaScript

__all__ = ["Batch"]

_BETWEEN = b"\x1e"
"""What stands between several outputs of one event: in JSON it cannot be."""


class Batch:
    """One run of a program: per event a code (`wire`), outputs or a reason in `blobs`, and logs."""

    def __init__(
        self, program: JavaScript, events: Sequence[memoryview], metadata: Sequence[memoryview], ask: Ask
    ) -> None:
        self.program = program
        self.events = events
        self.metadata = metadata
        self.codes: list[int] = []
        self.blobs: list[bytes] = []
        self.logs: list[str] = []
        self.fault: Fault | None = None
        self.sound = False  # JSON.stringify writes halves of characters, and any depth
        self._ask = ask

    def run(self) -> None:
        """Run the module and its function; sets `fault` or fills codes and blobs."""
        program = self.program
        try:
            run = Run(program, time.monotonic() + program.timeout)
        except Late:
            self._stop("timeout", f"took longer than {program.timeout:g} s")
            return
        if program.fault is not None or not self.events:
            self.fault = program.fault
            return
        late = False
        try:
            about = str(b"[" + b",".join(self.metadata) + b"]", "utf-8", "replace")
            waits = run.call("run", run.entry, about, *_texts(self.events))
            run.jobs()
            if waits:
                self._settle(run)
        except Late:
            late = program.spent = True
        except JSException as error:
            if "out of memory" in str(error):
                self._stop("memory", "needs more memory than allowed")
            else:
                self.fault = Fault("error", str(error).partition("\n")[0], program.file)
            return
        self._collect(run, late=late)

    def _stop(self, kind: str, reason: str) -> None:
        self.program.spent = True
        self.fault = Fault(kind, reason, self.program.file)  # type: ignore[arg-type]  # one of the kinds

    def _settle(self, run: Run) -> None:
        """Run until every promise is settled, asking the parent for what they wait for."""
        while run.drive("part", "outcome", "pending"):
            asked = run.drive("part", "reach", "asked")
            if asked == "[]":
                return
            begun = time.monotonic()
            answer = self._ask(_paired(asked.encode("utf-8", "replace")))
            run.deadline += time.monotonic() - begun  # waiting is not running
            run.call("part", "reach", "told", answer.decode())
            run.jobs()

    def _collect(self, run: Run, *, late: bool) -> None:
        """Take the results over; `late` makes what has none a timeout, or not run."""
        run.context.set_time_limit(2.0)
        run.context.set_memory_limit(self.program.heap * 2)
        try:
            said = run.drive("results").encode("utf-8", "replace")
            lines = said.split(b"\n")
            item, odd, logged = map(int, lines.pop().split())
            self.logs = list(map(str, json.loads(run.drive("part", "console", "lines")))) if logged else []
        except (JSException, ValueError, TypeError) as error:  # what is written may be the script's `toJSON`
            kind = "memory" if "out of memory" in str(error) else "error"
            self._stop(kind, f"its results cannot be had: {str(error).partition(chr(10))[0]}")
            return
        try:
            # One character is looked for a hundred times faster than three.
            if b"\\" in said and (b"\\ud" in said or b"\\uD" in said):
                lines = [_whole(line) for line in lines]
            if len(lines) != len(self.events):
                raise ValueError("their number is wrong")
            if run.entry != "transformEvent":
                self._sort(lines[0], late=late)
            elif odd or not self._alike(lines):
                self._place(lines, item, late=late)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            # A script that replaced what arrays are made of, or how they are written.
            self.codes, self.blobs = [], []
            self._stop("error", f"its results cannot be read: {error}")

    def _alike(self, lines: list[bytes]) -> bool:
        """Take the lines as they are where each is one output and none needs a second look, as most do."""
        lengths = list(map(len, lines))
        if not min(lengths) or max(lengths) > wire.MAX_OUTPUT or sum(lengths) > wire.MAX_TOTAL:
            return False
        self.codes, self.blobs = [1] * len(lines), lines
        return True

    def _place(self, lines: Sequence[bytes], item: int, *, late: bool) -> None:
        """Take the lines over, each in the words of prelude/outcome.js."""
        room = 0
        for place, line in enumerate(lines):
            kind = line[:1]
            if kind == b"!":
                self._failed(line[1:])
            elif not kind:
                self._unsettled(place, item, late=late)
            else:
                mine = [] if kind == b"-" else line.removeprefix(b"+").split(_BETWEEN)
                room += sum(map(len, mine))
                self._made(mine, room)

    def _made(self, outputs: Sequence[bytes], room: int) -> None:
        """Outputs of one event, unless they are too many or too large."""
        if len(outputs) > wire.MAX_OUTPUTS:
            self._fail(f"Error: more than {wire.MAX_OUTPUTS:,} events returned for one")
        elif any(len(output) > wire.MAX_OUTPUT for output in outputs):
            self._fail(f"Error: the returned event is larger than {wire.MAX_OUTPUT:,} bytes")
        elif room > wire.MAX_TOTAL:
            if self.codes:
                self.codes.append(wire.NOT_RUN)
            else:
                self._fail(f"Error: the returned events are larger than {wire.MAX_TOTAL:,} bytes")
        else:
            self.codes.append(len(outputs))
            self.blobs.extend(outputs)

    def _unsettled(self, place: int, item: int, *, late: bool) -> None:
        if not late:
            self._fail(f"{self.program.file}: Error: timed out: the promise it returned is never settled")
        elif place <= item:
            self._fail(f"took longer than {self.program.timeout:g} s", wire.TIMEOUT)
        else:
            self.codes.append(wire.NOT_RUN)

    def _failed(self, blob: bytes) -> None:
        text, stack = json.loads(blob)
        if "out of memory" in text and text.startswith("InternalError"):
            self.program.spent = True
            self._fail("needs more memory than allowed", wire.MEMORY)
            return
        file, line = self.program.place(stack)
        self._fail(f"{file}:{line}: {text}" if file else f"{self.program.file}: {text}")

    def _fail(self, reason: str, code: int = wire.ERROR) -> None:
        self.blobs.append(reason[: wire.MAX_REASON].encode("utf-8", "replace"))
        self.codes.append(code)

    def _sort(self, line: bytes, *, late: bool) -> None:
        """Outputs of a whole batch by input; a failure is everybody's."""
        if not line:
            for place in range(len(self.events)):
                self._unsettled(place, len(self.events), late=late)
            return
        if line[:1] == b"!":
            for _ in self.events:
                self._failed(line[1:])
            return
        made: list[list[bytes]] = [[] for _ in self.events]
        errors: dict[int, bytes] = {}
        placing = Placing([_identity(event) for event in self.events])
        stray: list[bytes] = []
        for row in json.loads(line):
            failed = json.dumps([row[2], row[3]]).encode() if row[1] is None else b""
            if failed and row[0] is None:
                stray.append(failed)
                continue
            place = placing(row[0])
            if failed:
                errors.setdefault(place, failed)
            else:
                made[place].append(_paired(row[1].encode("utf-8", "replace")))
        for failed in stray:  # of the first that has no output, so that nothing vanishes without a word
            free = next((i for i, row in enumerate(made) if not row and i not in errors), None)
            if free is not None or not errors:
                errors[free or 0] = failed
        room = 0
        for place, outputs in enumerate(made):
            if place in errors:
                self._failed(errors[place])
            else:
                room += sum(map(len, outputs))
                self._made(outputs, room)


def _texts(events: Sequence[memoryview]) -> list[str]:
    """JSON for the engine; lone surrogates become U+FFFD."""
    texts = [str(event, "utf-8", "replace") for event in events]
    for place, text in enumerate(texts):
        if "\\" in text and ("\\ud" in text or "\\uD" in text):
            texts[place] = _paired(bytes(events[place])).decode("utf-8", "replace")
    return texts


def _whole(line: bytes) -> bytes:
    """A line of the results without lone surrogates."""
    mark = line[: line[:1] in (b"+", b"!")]
    return mark + _BETWEEN.join(map(_paired, line[len(mark) :].split(_BETWEEN)))


def _paired(raw: bytes) -> bytes:
    """JSON in which lone surrogates are U+FFFD, as everywhere in Turnout; others are as they were."""
    if b"\\ud" not in raw and b"\\uD" not in raw:
        return raw
    try:
        return codec.encode(codec.decode(memoryview(raw)))
    except ValueError:
        return raw


def _identity(event: memoryview) -> object:
    try:
        found = json.loads(bytes(event))
    except ValueError:
        return None
    return found.get("messageId") if isinstance(found, dict) else None
