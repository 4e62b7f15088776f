"""What a transformation is, and what running one gives back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal, NamedTuple, Protocol

import msgspec

__all__ = [
    "HELD", "Answer", "Failed", "Item", "Library", "Outputs", "Question", "Ran", "Reach", "Reaching", "Runner",
    "Script", "Tester", "Trial",
]  # fmt: skip

HELD = 32 << 20
"""Bytes of what scripts make of several events at which they end without any: whoever asks holds them all at once."""


@dataclass(frozen=True, slots=True)
class Library:
    """Code that scripts import by `name`; `file` is how errors name it."""

    name: str
    source: str
    file: str = ""
    language: Literal["python", "javascript"] = "python"


@dataclass(frozen=True, slots=True)
class Reaching:
    """What a script may fetch: hosts (`*.example.com` is every name below), seconds that an answer to GET
    is kept (0: not at all), and seconds that one fetch may take."""

    hosts: tuple[str, ...] = ()
    cache: float = 0.0
    timeout: float = 10.0


@dataclass(frozen=True, slots=True)
class Script:
    """One transformation as it is to be run. Never compiled outside a worker process.

    `timeout` in seconds per batch, `memory` in bytes of the worker's address space.
    """

    name: str
    source: str
    file: str = ""
    language: Literal["python", "javascript"] = "python"
    libraries: tuple[Library, ...] = ()
    timeout: float = 4.0
    memory: int = 256 << 20
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    reach: Reaching = Reaching()

    @property
    def version(self) -> str:
        """Content hash of the script and all libraries of its language (12 hex digits)."""
        digest = sha256(self.source.encode())
        for library in sorted((x for x in self.libraries if x.language == self.language), key=lambda x: x.name):
            digest.update(f"\0{library.name}\0{library.source}".encode())
        return digest.hexdigest()[:12]


class Item(NamedTuple):
    """One event for a script: the event and its metadata, each a JSON object as bytes."""

    event: bytes
    metadata: bytes


class Outputs(msgspec.Struct, frozen=True, gc=False, eq=False):
    """What the script made of one event: JSON objects; none means it was dropped.

    They are checked to be well-formed. `sound` is the worker's word that its encoder wrote them at once: finite
    numbers, 254 levels at most, no half of a character, each name once. A script that has taken its worker over may
    lie, and spoils what it is made a part of with others; so nothing but its own outputs may be.
    """

    events: tuple[bytes, ...]
    sound: bool = False

    def __eq__(self, other: object) -> bool:
        return self.events == other.events if isinstance(other, Outputs) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.events)


@dataclass(frozen=True, slots=True)
class Failed:
    """The script did not survive one event. `reason` is for people: script, line, message."""

    reason: str
    kind: Literal["error", "timeout", "memory", "crash"] = "error"


Ran = Outputs | Failed


@dataclass(frozen=True, slots=True)
class Question:
    """What a script asks for in the middle of a run: `fetch` or `geolocation`, and its arguments as sent."""

    verb: str
    args: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What it is told: plain JSON, or `error`, a sentence that the script sees."""

    value: Any = None
    error: str | None = None


Reach = Callable[[Script, Sequence[Question]], Awaitable[Sequence[Answer]]]
"""Answers what a script asks, in order; everything in a question is hostile. May be called again meanwhile."""


@dataclass(slots=True)
class Trial:
    """A run that is looked at: results per event, and the lines the script logged."""

    results: list[Ran]
    logs: list[str]


class Runner(Protocol):
    """Runs scripts over batches, in workers that reach nothing else."""

    async def start(self) -> None:
        """Start the workers."""
        ...

    async def stop(self) -> None:
        """Kill the workers."""
        ...

    async def check(self, script: Script) -> None:
        """Compile in a worker; raises `turnout.errors.ScriptError` with file and line."""
        ...

    async def run(self, script: Script, items: Sequence[Item]) -> list[Ran]:
        """Run over a batch: one result per item, in input order. Never raises for what a script does.

        Raises `turnout.errors.Stopped`, with nothing decided, where it was killed too often, and `Overfull` where
        what it makes of several items is too much to be held: it may be run over fewer.
        """
        ...


class Tester(Runner, Protocol):
    """A runner that scripts are tried in, too, and one that people speak to."""

    def resume(self, name: str) -> bool:
        """Let a script that was killed too often run again; False where it was not stopped."""
        ...

    async def trial(self, script: Script, items: Sequence[Item], reach: Reach | None = None) -> Trial:
        """A run for a look at it: with logs, in no count, and `reach` answers instead of the runner's own."""
        ...
