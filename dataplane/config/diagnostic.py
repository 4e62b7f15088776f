"""What is wrong with a config file, at which line and column."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple

from turnout.errors import ConfigError

__all__ = ["Diagnostic", "InvalidConfig", "Path", "Place", "Report", "Severity", "dotted"]

Severity = Literal["error", "warning"]
Path = tuple[str | int, ...]
"""Where a value stands in the document: `("destinations", "crm", "settings", "url")`."""


class Place(NamedTuple):
    """A position in the file; line and column count from 1, column in characters."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding. `line` 0 means the file as a whole; the message never shows a secret."""

    file: str
    line: int
    column: int
    path: str
    message: str
    severity: Severity = "error"

    def __str__(self) -> str:
        """`config.yaml:12:7: destinations.crm.settings.intance_url: unknown setting (…)`."""
        where = [self.file, *(str(n) for n in (self.line, self.column) if n)]
        said = f"warning: {self.message}" if self.severity == "warning" else self.message
        return ":".join(where) + ": " + (f"{self.path}: {said}" if self.path else said)

    def as_dict(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return asdict(self)


class InvalidConfig(ConfigError):
    """A config file that cannot be used; `diagnostics` has every finding, in the file's order."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("\n".join(str(d) for d in self.diagnostics))


@dataclass(slots=True)
class Report:
    """Findings about one file as they are made; the same finding at the same place counts once."""

    file: str
    found: dict[Diagnostic, None] = field(default_factory=dict)

    def add(self, place: Place, path: Path, message: str, severity: Severity = "error") -> None:
        """Note a finding at a place of the file."""
        self.found[Diagnostic(self.file, place.line, place.column, dotted(path), message, severity)] = None

    def add_all(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Note findings made elsewhere, of other files too."""
        self.found.update(dict.fromkeys(diagnostics))

    @property
    def failed(self) -> bool:
        """Whether there is an error among the findings."""
        return any(d.severity == "error" for d in self.found)

    def diagnostics(self) -> list[Diagnostic]:
        """All findings: those of this file by line and column, then those of others."""
        return sorted(self.found, key=lambda d: (d.file != self.file, d.file, d.line, d.column))


def dotted(path: Path) -> str:
    """A path as people write it: `destinations.crm.settings.headers[0].name`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += ("." if text else "") + _key(step)
    return text


def _key(step: str) -> str:
    if re.fullmatch(r"[\w-]{1,80}", step):
        return step
    return json.dumps(step if len(step) <= 80 else step[:79] + "…", ensure_ascii=not step.isprintable())
