"""What people paused: kept beside the config, by names of the config.

Pure; the app keeps it in a file and tells the roles.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal, get_args

import msgspec

from dataplane.config.model import Config
from turnout.errors import Fixable, FormatError
from turnout.spelling import meant

__all__ = ["KINDS", "REASON", "Kind", "Pause", "Pauses"]

Kind = Literal["destination", "source", "transformation"]
KINDS: tuple[str, ...] = get_args(Kind)
VERSION = 1
REASON = 500
"""Longest reason, in characters."""


class Pause(msgspec.Struct, frozen=True):
    """One pause: of what, since when (ISO 8601), by whom and why."""

    kind: Kind
    name: str
    since: str
    by: str
    reason: str = ""

    @property
    def why(self) -> str:
        """`by ann: she is migrating`."""
        return f"by {self.by}: {self.reason}" if self.reason else f"by {self.by}"


class Pauses(msgspec.Struct, frozen=True):
    """All pauses; never changed, each method gives another."""

    version: int = VERSION
    pauses: tuple[Pause, ...] = ()

    @classmethod
    def read(cls, data: bytes) -> Pauses:
        """From the file's bytes; raises `FormatError` where they are damaged or newer."""
        try:
            found = msgspec.json.decode(data, type=cls)
        except msgspec.DecodeError:
            version = _version(data)
            if version > VERSION:
                raise FormatError(f"it was written by a newer Turnout (version {version})") from None
            raise FormatError("it is damaged: delete it, and pause again what was paused") from None
        if found.version > VERSION:
            raise FormatError(f"it was written by a newer Turnout (version {found.version})")
        return found

    @classmethod
    def of(cls, rows: Any) -> Pauses:
        """From what `plain` gave."""
        return cls(pauses=tuple(msgspec.convert(rows, list[Pause])))

    def plain(self) -> list[dict[str, Any]]:
        """Plain JSON, for the control channel and the status."""
        rows: list[dict[str, Any]] = msgspec.to_builtins(self.pauses)
        return rows

    def find(self, kind: str, *names: str) -> Pause | None:
        """The pause of a thing, by any of these names."""
        return next((p for p in self.pauses if p.kind == kind and p.name in names), None)

    def names(self, kind: str) -> frozenset[str]:
        """Names of everything of a kind that is paused."""
        return frozenset(p.name for p in self.pauses if p.kind == kind)

    def added(self, pause: Pause) -> Pauses:
        """With one more. What is paused already stays so, by whom and since when; only a new reason counts."""
        old = self.find(pause.kind, pause.name)
        if old is None:
            return Pauses(pauses=(*self.pauses, pause))
        if not pause.reason or pause.reason == old.reason:
            return self
        again = msgspec.structs.replace(old, reason=pause.reason)
        return Pauses(pauses=tuple(again if p is old else p for p in self.pauses))

    def removed(self, kind: str, name: str) -> Pauses:
        """Without one."""
        if self.find(kind, name) is None:
            return self
        return Pauses(pauses=tuple(p for p in self.pauses if (p.kind, p.name) != (kind, name)))

    def following(self, config: Config) -> Pauses:
        """By the names of a config: what is gone is forgotten, what was renamed (`was:`) carried over."""
        renamed = {item.was: name for name, item in config.destinations.items() if item.was}
        kept: list[Pause] = []
        for pause in self.pauses:
            name = pause.name
            if pause.kind == "destination" and name not in config.destinations:
                name = renamed.get(name, name)
            if name in known(config, pause.kind) and not any((p.kind, p.name) == (pause.kind, name) for p in kept):
                kept.append(pause if name == pause.name else msgspec.structs.replace(pause, name=name))
        found = Pauses(pauses=tuple(kept))
        return self if found == self else found


def known(config: Config, kind: str) -> Collection[str]:
    """Names of a kind in a config."""
    if kind == "destination":
        return config.destinations
    return config.sources if kind == "source" else config.transformations


def check(config: Config, kind: Any, name: Any, reason: Any = "") -> tuple[Kind, str, str]:
    """What a person asks for, checked; raises `Fixable` with what to write instead."""
    if kind not in KINDS:
        raise Fixable(f"kind is one of {', '.join(KINDS)}")
    names = known(config, kind)
    if not isinstance(name, str) or name not in names:
        shown = name[:64] if isinstance(name, str) and name and name.isprintable() else "of this name"
        others = f"; there is {', '.join(sorted(names)[:10])}" if names else "; the config has none"
        raise Fixable(f"there is no {kind} {shown}{meant(str(name), names) or others}")
    if not isinstance(reason, str) or len(reason) > REASON or not reason.isprintable():
        raise Fixable(f"reason is one line of text, at most {REASON} characters")
    found: Kind = kind
    return found, name, reason.strip()


def _version(data: bytes) -> int:
    try:
        return int(msgspec.json.decode(data).get("version", 0))
    except (msgspec.DecodeError, AttributeError, TypeError, ValueError):
        return 0
