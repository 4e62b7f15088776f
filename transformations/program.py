"""What the worker's loop knows of a script, whatever its language."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

__all__ = ["MAX_SOURCE", "Ask", "Batch", "Fault", "Program"]

MAX_SOURCE = 512_000
"""Longest source of a script or library, in characters."""

Ask = Callable[[bytes], bytes]
"""Asks the parent: JSON `[{"id", "verb", "args"}]` to JSON `[{"id", "value"} | {"id", "error"}]`. Waits."""


@dataclass(slots=True)
class Fault:
    """Why none of a batch was run: `kind` as in `transformations.base.Failed`."""

    kind: Literal["error", "timeout", "memory"]
    message: str
    file: str = ""
    line: int = 0


class Batch(Protocol):
    """One run over a batch: a fault, or per event a code (`wire`), outputs or a reason, and log lines; `sound` as
    in `transformations.base.Outputs`, of all outputs."""

    sound: bool
    codes: list[int]
    blobs: list[bytes]
    logs: list[str]
    fault: Fault | None

    def run(self) -> None:
        """Run under the program's own deadline; raises nothing."""
        ...


class Program(Protocol):
    """A script with its libraries; `fault` is set when it cannot run, `spent` ends its worker."""

    fault: Fault | None
    spent: bool

    def load(self) -> None:
        """Make it ready, under the loading deadline; what is wrong becomes the fault."""
        ...

    def batch(self, events: Sequence[memoryview], metadata: Sequence[memoryview], ask: Ask) -> Batch:
        """A run over these events; with none, only the module is run."""
        ...
