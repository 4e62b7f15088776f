"""The processes of one `turnout run`: their names, and where each stands among them."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from dataplane.config import Config
from dataplane.pipeline.share import name_of

__all__ = ["ROLES", "Ask", "Place", "known", "partition_of", "process_of", "roles"]

ROLES = ("ingest", "pipeline")
"""Those there always are, in starting order."""
_NAME = re.compile(r"(ingest|pipeline)(?:-([1-9][0-9]?))?")

Ask = Callable[[str, dict[str, Any]], Awaitable[Any]]
"""Verb and arguments to the answer; raises the other side's error, or `Unavailable`."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a process stands among those of this `turnout run`: an ingest process's `partition`, the number
    of a pipeline `process`, the number of the `run` (log/epochs.py), and whether it is `joining` others (or its own
    former self) at the port. `ask` asks the app."""

    partition: int = 0
    process: int = 0
    run: int = 0
    joining: bool = False
    ask: Ask | None = None


def known(name: str) -> bool:
    """Whether a role may have that name."""
    return _NAME.fullmatch(name) is not None


def roles(config: Config) -> tuple[str, ...]:
    """Names of the role processes: `ingest`, `ingest-1` …, `pipeline`, `pipeline-1` …

    In starting order; they are drained in the same order, so that nothing new comes in first. The pipeline
    starts when every partition was recovered: what an earlier run acknowledged there comes before
    anything new in another. The one that sequences comes before those that follow it.
    """
    more = (f"ingest-{number}" for number in range(1, config.processes.ingest))
    return ("ingest", *more, *map(name_of, range(config.processes.pipeline)))


def partition_of(name: str) -> int | None:
    """The partition that a role's process writes; None for one that writes none."""
    return _number(name, "ingest")


def process_of(name: str) -> int | None:
    """The number of a pipeline process; None for a role that is none."""
    return _number(name, "pipeline")


def _number(name: str, kind: str) -> int | None:
    found = _NAME.fullmatch(name)
    return int(found[2] or 0) if found is not None and found[1] == kind else None
