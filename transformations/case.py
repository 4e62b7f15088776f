"""One case of a script, as data: what it is run on, and what came of it. `turnout transform --jsonl`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from transformations.base import Failed, Item, Library, Ran, Script
from transformations.recorded import Recorded

__all__ = ["Case", "Outcome", "outcome", "results"]

Outcome = Literal["ok", "compile_error", "timeout", "memory", "crash"]
_RANK: tuple[Outcome, ...] = ("ok", "timeout", "memory", "crash")
KINDS: Mapping[str, Outcome] = {"error": "ok", "timeout": "timeout", "memory": "memory", "crash": "crash"}


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)


class CaseLibrary(_Model):
    """A library as the script imports it."""

    name: str
    code: str


class CaseEvent(_Model):
    """An event, and what is known about it."""

    message: dict[str, Any]
    metadata: dict[str, Any] | None = None


class CaseLimits(_Model):
    """Seconds per batch, and bytes of memory."""

    timeout: float = Field(4.0, gt=0, le=60)
    memory: int = Field(256 << 20, ge=32 << 20, le=4 << 30)


class Case(_Model):
    """A script with all that it is run on; see docs/transformations.md."""

    id: Any = None
    language: Literal["python", "javascript"] = "python"
    code_version: Literal["0", "1"] = "1"
    code: str
    libraries: list[CaseLibrary] = []
    credentials: dict[str, str] = {}
    events: list[CaseEvent] = []
    fetch: list[dict[str, Any]] = []
    geolocation: dict[str, dict[str, Any]] = {}
    limits: CaseLimits = CaseLimits()

    def script(self, name: str) -> Script:
        """What the pool runs; scripts of another `name` never share a worker with it."""
        suffix = "py" if self.language == "python" else "js"
        return Script(
            name, self.code, file=f"script.{suffix}", language=self.language,
            libraries=tuple(Library(one.name, one.code, one.name, self.language) for one in self.libraries),
            timeout=self.limits.timeout, memory=self.limits.memory, credentials=self.credentials,
        )

    def items(self) -> list[Item]:
        """Its events as the pipeline hands them over."""
        return [Item(_raw(one.message), _raw(one.metadata or {})) for one in self.events]

    def reach(self) -> Recorded:
        """Answers to what the script asks."""
        return Recorded(self.fetch, self.geolocation)


def _raw(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def results(rans: Sequence[Ran]) -> list[dict[str, Any]]:
    """One entry per output, in input order; every input appears."""
    found: list[dict[str, Any]] = []
    for index, ran in enumerate(rans):
        if isinstance(ran, Failed):
            found.append({"event": index, "error": ran.reason})
        elif not ran.events:
            found.append({"event": index, "dropped": True})
        else:
            found.extend({"event": index, "output": json.loads(raw)} for raw in ran.events)
    return found


def outcome(rans: Sequence[Ran], *, loads: bool) -> Outcome:
    """The worst that happened to any event; an error of the script's own is ok where it `loads`."""
    kinds: list[Outcome] = [KINDS[ran.kind] if isinstance(ran, Failed) else "ok" for ran in rans]
    worst = max(kinds, key=_RANK.index) if kinds else _RANK[0]
    return "compile_error" if worst == "ok" and not loads else worst
