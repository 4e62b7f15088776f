"""One run of a script over a batch of events, in a worker.

The hot path is `Batch._events`. A run may be cut off at any point by the soft deadline, so an event
counts as done only when its code is appended, which is the last thing that happens.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from transformations import codec
from transformations.placing import Placing, identity
from transformations.program import Ask, Fault
from transformations.python import deadline
from transformations.python.linker import Linker, plain
from transformations.python.moment import MOMENT, seconds
from transformations.python.names import show
from transformations.python.reaching import asking
from transformations.python.trusting import forget
from transformations.sandbox import wire

if TYPE_CHECKING:
    from transformations.python.program import Python

__all__ = ["Batch"]

OLD = 100
"""Batches after which what outlived collections within a batch is looked through, too."""
MAX_LINES, MAX_LINE = 100, 300
"""Log lines kept of a trial, and characters of each."""


def _sentence(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001  # a script's own __str__ may do anything
        text = "(its text cannot be had)"
    return show(f"{type(error).__name__}: {text[:500]}" if text else type(error).__name__)


class _Full(Exception):
    """The reply has no room for more; what is left is run in another."""


class Batch:
    """One run of a program: per event a code (`wire`), outputs or a reason in `blobs`, and logs."""

    def __init__(
        self, program: Python, events: Sequence[memoryview], metadata: Sequence[memoryview], ask: Ask
    ) -> None:
        self.program = program
        self.ask = ask
        self.events = events
        self.metadata = metadata
        self.codes: list[int] = []
        self.blobs: list[bytes] = []
        self.logs: list[str] = []
        self.fault: Fault | None = None
        self.sound = True
        self.running = False
        self.room = wire.MAX_TOTAL
        self.places: dict[Any, int] | None = None
        self.single = False
        self.current: Any = None

    # ---- the way of a batch

    def run(self) -> None:
        """Run under the soft deadline; sets `fault` or fills codes and blobs."""
        program = self.program
        seconds = program.timeout if self.events else min(program.timeout, wire.LOADING)
        try:
            deadline.arm(seconds)
            try:
                self._run()
                self._free()
            finally:
                deadline.disarm()
        except deadline.Expired:
            deadline.disarm()
            self._stopped(wire.TIMEOUT, f"took longer than {seconds:g} s" + ("" if self.events else " to load"))
        except MemoryError:
            self._stopped(wire.MEMORY, "needs more memory than allowed" + ("" if self.events else " to load"))

    def _run(self) -> None:
        """Run the module and its function."""
        program = self.program
        forget()
        MOMENT.begin(program.name, self._identity, self._received)
        try:
            entry, function = Linker(program, self._log, asking(self.ask)).entry()
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001  # the script's own failure, whatever it is
            file, line = program.place(error)
            self.fault = Fault("error", _sentence(error), file or program.file, line)
            return
        if not self.events:
            return
        self.running = True
        try:
            if entry == "transformEvent":
                self.single = True
                self._events(function)
            else:
                self._batch(function)
        except _Full:
            self._rest()

    def _free(self) -> None:
        """Collect what the batch leaves behind, under the alarm: a generator's `finally` is the script's code.

        A module and its functions refer to each other, and through `print` to the batch. The interpreter would
        collect them after so many new objects, not bytes: events of hundreds of batches would fill the memory.
        """
        gc.collect(1 if gc.get_count()[2] < OLD else 2)
        if deadline.overdue():
            raise deadline.Expired from None

    def _stopped(self, code: int, reason: str) -> None:
        """Settle a batch that was cut off: what is done stays, the event in hand has `code`."""
        self.program.spent = True
        if not self.running:
            self.fault = Fault("timeout" if code == wire.TIMEOUT else "memory", reason)
            return
        done = sum(c if c >= 0 else 1 for c in self.codes)
        del self.blobs[done:]
        ended = len(self.codes) == len(self.events)
        if ended:  # and then hung in what it left behind
            self.codes, self.blobs = [], []
        self._fail(reason, code)
        while (ended or not self.single) and len(self.codes) < len(self.events):
            self._fail(reason, code)  # nobody knows which event it was
        self._rest()

    def _rest(self) -> None:
        self.codes.extend([wire.NOT_RUN] * (len(self.events) - len(self.codes)))

    def _fail(self, reason: str, code: int = wire.ERROR) -> None:
        self.blobs.append(reason[: wire.MAX_REASON].encode("utf-8", "replace"))
        self.codes.append(code)

    def _raised(self, error: Exception) -> str:
        if deadline.overdue():
            raise deadline.Expired from None  # the error is what became of the alarm
        file, line = self.program.place(error)
        return f"{file}:{line}: {_sentence(error)}" if file else f"{self.program.file}: {_sentence(error)}"

    # ---- transformEvent

    def _events(self, function: Callable[..., Any]) -> None:
        codes, blobs, metadata, moment = self.codes, self.blobs, plain(self._metadata), MOMENT
        loads, dumps, options, limit = orjson.loads, orjson.dumps, codec.OPTIONS, wire.MAX_OUTPUT
        for item, raw in enumerate(self.events):
            moment.item = item
            try:
                try:
                    event = loads(raw)
                except ValueError:
                    event = codec.decode(raw)
                if type(event) is not dict:
                    raise ValueError("the event is not a JSON object")
                self.current = event.get("messageId")
                result = function(event, metadata)
                if result is None:
                    codes.append(0)
                    continue
                if type(result) is not dict:
                    outputs = self._several(result)
                    self._take(sum(map(len, outputs)))
                    blobs.extend(outputs)
                    codes.append(len(outputs))
                    continue
                try:
                    output = dumps(result, None, options)
                except TypeError:
                    output = self._encoded(result)
                size = len(output)
                if size > limit:
                    raise ValueError(f"the returned event is larger than {limit:,} bytes")
                if size > self.room:
                    self._take(size)
                self.room -= size
                blobs.append(b"%b" % output)  # a copy of the size it has, as `turnout.codec.dumps` says
                codes.append(1)
            except (MemoryError, _Full):
                raise
            except Exception as error:  # noqa: BLE001  # the script's own failure, whatever it is
                self._fail(self._raised(error))

    def _several(self, result: Any) -> list[bytes]:
        if isinstance(result, dict):
            return [self._one(result)]
        if not isinstance(result, list | tuple):
            raise TypeError("returned event from transformEvent(event) is not an object")
        if len(result) > wire.MAX_OUTPUTS:
            raise ValueError(f"more than {wire.MAX_OUTPUTS:,} events returned for one")
        if not all(isinstance(event, dict) for event in result):
            raise TypeError("returned event in events array from transformEvent(event) is not an object")
        return [self._one(event) for event in result]

    def _one(self, event: dict[Any, Any]) -> bytes:
        output = self._encoded(event)
        if len(output) > wire.MAX_OUTPUT:
            raise ValueError(f"the returned event is larger than {wire.MAX_OUTPUT:,} bytes")
        return output

    def _encoded(self, event: dict[Any, Any]) -> bytes:
        """As JSON; by the slow encoder, which takes more than is sound, where the other does not take it."""
        try:
            return b"%b" % orjson.dumps(event, None, codec.OPTIONS)
        except TypeError:
            self.sound = False
            return codec.encode(event)

    def _take(self, size: int) -> None:
        if size > self.room:
            if self.room == wire.MAX_TOTAL:
                raise ValueError(f"the returned events are larger than {wire.MAX_TOTAL:,} bytes")
            raise _Full
        self.room -= size

    # ---- transformBatch

    def _batch(self, function: Callable[..., Any]) -> None:
        count = len(self.events)
        try:
            events = [codec.decode(raw) for raw in self.events]
            if not all(type(event) is dict for event in events):
                raise ValueError("an event of the batch is not a JSON object")
            identities = [event.get("messageId") for event in events]
            result = function(events, plain(self._metadata))
            if not isinstance(result, list | tuple):
                raise TypeError("returned events from transformBatch(event) is not an array")
            made, errors = self._sorted(result, identities)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001  # the script's own failure, whatever it is
            reason = self._raised(error)
            for _ in range(count):
                self._fail(reason)
            return
        for item, outputs in enumerate(made):
            if item in errors:
                self._fail(errors[item])
                continue
            try:
                self._take(sum(map(len, outputs)))
            except ValueError as error:
                self._fail(self._raised(error))
            else:
                self.blobs.extend(outputs)
                self.codes.append(len(outputs))

    def _sorted(
        self, result: Sequence[Any], identities: Sequence[Any]
    ) -> tuple[list[list[bytes]], dict[int, str]]:
        """Outputs by input, by `messageId`; one that no input has fails the whole batch, as in RudderStack.

        What is no JSON becomes an error of its input; what is no object, of the first that has no output,
        so that nothing vanishes without a word.
        """
        placing = Placing(identities)
        made: list[list[bytes]] = [[] for _ in identities]
        errors: dict[int, str] = {}
        stray: list[str] = []
        for event in result:
            if not isinstance(event, dict):
                stray.append("returned event in events array from transformBatch(events) is not an object")
                continue
            if not placing.knows(event.get("messageId")):
                unknown = str(event.get("messageId"))[:80]
                raise ValueError(f"an output of transformBatch has a messageId that no input has: {unknown}")
            item = placing(event.get("messageId"))
            try:
                made[item].append(self._one(event))
            except MemoryError:
                raise
            except Exception as error:  # noqa: BLE001  # cannot be encoded
                errors.setdefault(item, self._raised(error))
            if len(made[item]) > wire.MAX_OUTPUTS:
                raise ValueError(f"more than {wire.MAX_OUTPUTS:,} events returned for one")
        for reason in stray:
            place = next((i for i in range(len(made)) if not made[i] and i not in errors), None)
            if place is not None or not errors:
                errors[place or 0] = f"{self.program.file}: TypeError: {reason}"
        return made, errors

    # ---- what a script asks for

    def _metadata(self, event: Any = None, /) -> Any:
        """Metadata of the event with this messageId, a copy of its own at every call; {} if unknown."""
        wanted = event.get("messageId") if isinstance(event, dict) else None
        if self.single and wanted == self.current:
            return self._peek(self.metadata, MOMENT.item)
        if self.places is None:
            self.places = {identity(self._identity(item)): item for item in range(len(self.events))}
        item = self.places.get(identity(wanted))
        return {} if item is None else self._peek(self.metadata, item)

    def _peek(self, parts: Sequence[memoryview], item: int) -> dict[str, Any]:
        """An object as it was sent; {} where it is none."""
        try:
            found = codec.decode(parts[item])
        except (ValueError, IndexError):
            return {}
        return found if isinstance(found, dict) else {}

    def _identity(self, item: int) -> Any:
        return self._peek(self.events, item).get("messageId", "")

    def _received(self, item: int) -> float | None:
        found = seconds(self._peek(self.metadata, item).get("receivedAt"))
        return seconds(self._peek(self.events, item).get("receivedAt")) if found is None else found

    def _log(self, *values: Any, sep: str = " ", **_: Any) -> None:
        if len(self.logs) < MAX_LINES:
            line = str(sep).join([_logged(value) for value in values])
            self.logs.append(line[:MAX_LINE].encode("utf-8", "replace").decode())


def _logged(value: Any) -> str:
    if isinstance(value, dict | list):
        try:
            return codec.encode(value).decode()
        except (TypeError, ValueError):
            return str(value)
    return str(value)
