"""Fixtures of a destination: documentation, test and what the console shows, in one YAML file.

The format is described in docs/destinations.md; unknown keys are errors.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from turnout import codec
from turnout.destination import Context, Destination
from turnout.event import Event
from turnout.preview import describe, describe_record
from turnout.request import Record, Request, Response
from turnout.testing.fake_clock import START

__all__ = ["Answer", "Fixture", "folder", "load"]

BODIES = ("json", "json_array", "form", "xml", "raw")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the tool, and the outcome it has; `status` 0 with an `error` is no answer."""

    verdict: str
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = ""
    error: str = ""
    after: float | None = None

    def response(self) -> Response:
        """The same as the engine would hand it in."""
        text = self.body.encode() if isinstance(self.body, str) else codec.dumps(self.body)
        return Response(self.status, self.headers, text, self.error)


@dataclass(frozen=True, slots=True)
class Fixture:
    """One event, what is sent for it (`sends`, `writes`) or said of it (`verdict`, `reason`)."""

    name: str
    event: Mapping[str, Any]
    settings: Mapping[str, Any]
    about: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    trusted: bool = False
    sends: tuple[Mapping[str, Any], ...] = ()
    writes: tuple[Mapping[str, Any], ...] = ()
    verdict: str = ""
    reason: str = ""
    when: tuple[Answer, ...] = ()

    def build(self, kind: type[Destination[Any]]) -> Destination[Any]:
        """The destination with the fixture's settings."""
        return kind(kind.settings_type.model_validate(dict(self.settings)))

    def input(self) -> Event:
        """The event as the engine would hand it in."""
        return Event(
            codec.dumps(self.event), key=1, number=1, source="fixture", options=self.options,
            trusted=self.trusted,
        )

    def expected(self) -> dict[str, Any]:
        """What the file says should come out, in the shape of `made`."""
        sends = [
            {
                "method": s.get("method", "POST"),
                "url": s["url"],
                "params": dict(s.get("params", {})),
                "headers": {k.lower(): v for k, v in s.get("headers", {}).items()},
                "body": {b: s[b] for b in BODIES if b in s},
            }
            for s in self.sends
        ]
        writes = [
            {"target": w["target"], "key": w.get("key"), "body": w["json"]}
            | ({"schema": w["schema"]} if "schema" in w else {})
            for w in self.writes
        ]
        return {"sends": sends, "writes": writes, "verdict": self.verdict, "reason": self.reason}

    def made(self, kind: type[Destination[Any]]) -> dict[str, Any]:
        """What the adapter makes of it; nothing is masked, since this is compared."""
        adapter = self.build(kind)
        result = adapter.verdict(self.input(), Context(START, adapter.delivery))
        found: dict[str, Any] = {"sends": [], "writes": [], "verdict": "", "reason": ""}
        if isinstance(result, Record):
            found["writes"] = [describe_record(result)]
        elif isinstance(result, list):
            found["sends"] = [_told(request) for request in result]
        else:
            found["verdict"] = str(result.outcome)
            wanted = self.reason or found["verdict"] != self.verdict  # who expected another one wants to know why
            found["reason"] = result.reason if wanted else ""
        return found


def _told(request: Request) -> dict[str, Any]:
    told = describe(request, masked=False)
    told["headers"] = {k.lower(): v for k, v in told["headers"].items()}
    del told["events"]
    return told


def folder(kind: type[Destination[Any]]) -> Path:
    """The destination's own folder."""
    return Path(inspect.getfile(kind)).parent


def load(kind: type[Destination[Any]]) -> list[Fixture]:
    """The fixtures in the destination's folder, by name; raises ValueError for a key it does not know."""
    return [_read(path) for path in sorted((folder(kind) / "fixtures").glob("*.yaml"))]


def _read(path: Path) -> Fixture:
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    if foreign := _foreign(raw):
        raise ValueError(f"{path.name}: {foreign}")
    known = {name for name in Fixture.__dataclass_fields__ if name != "name"}
    unknown = set(raw) - known
    if unknown:
        raise ValueError(f"{path.name}: unknown keys {sorted(unknown)}; there are {', '.join(sorted(known))}")
    if not {"event", "settings"} <= set(raw):
        raise ValueError(f"{path.name}: needs event and settings")
    for send in raw.get("sends", ()):
        odd = set(send) - {"method", "url", "headers", "params", *BODIES}
        if odd:
            raise ValueError(f"{path.name}: sends: unknown keys {sorted(odd)}")
    for write in raw.get("writes", ()):
        if odd := set(write) - {"target", "key", "json", "schema"}:
            raise ValueError(f"{path.name}: writes: unknown keys {sorted(odd)}")
    raw["when"] = tuple(Answer(**answer) for answer in raw.get("when", ()))
    for key in ("sends", "writes"):
        raw[key] = tuple(raw.get(key, ()))
    return Fixture(name=path.stem, **raw)


def _foreign(value: Any, where: str = "") -> str:
    """What in it no JSON can hold, though YAML reads it: most of all a time without quotes; "" where nothing."""
    if isinstance(value, dict):
        inside: Iterable[tuple[str, Any]] = ((f"{where}.{key}".lstrip("."), item) for key, item in value.items())
    elif isinstance(value, list):
        inside = ((f"{where}[{index}]", item) for index, item in enumerate(value))
    elif isinstance(value, date):
        return f"{where}: YAML reads {value.isoformat()} as a date: write it in quotes"
    elif value is None or isinstance(value, str | int | float):
        return ""
    else:
        return f"{where}: YAML reads this as {type(value).__name__}, which JSON does not have"
    return next(filter(None, (_foreign(item, path) for path, item in inside)), "")
