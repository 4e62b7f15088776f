"""One line of the table: what was measured, and what it should be."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["Row", "at_least", "at_most", "plain", "skipped"]


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `ok` is None where there is no target or nothing could be measured.

    `name` starts with its area: `log: fsyncs per ack at 100 clients`. `value` is None where the row
    was not measured; `note` then says why. `unit` is `x` for ratios, else SI: `s`, `ms`, `us`, `MB`, `1/s`.
    """

    name: str
    value: float | None
    unit: str = ""
    target: str = ""
    ok: bool | None = None
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The row as it stands in bench/results/latest.json."""
        return asdict(self)


def _judged(name: str, value: float, unit: str, sign: Literal["<=", ">="], limit: float, note: str) -> Row:
    ok = value <= limit if sign == "<=" else value >= limit
    return Row(name, value, unit, f"{sign} {limit:g}", ok, note)


def at_most(name: str, value: float, limit: float, unit: str = "x", note: str = "") -> Row:
    """A row whose value should not be above `limit`."""
    return _judged(name, value, unit, "<=", limit, note)


def at_least(name: str, value: float, limit: float, unit: str = "x", note: str = "") -> Row:
    """A row whose value should not be below `limit`."""
    return _judged(name, value, unit, ">=", limit, note)


def plain(name: str, value: float, unit: str, note: str = "") -> Row:
    """A row without a target: context for the others."""
    return Row(name, value, unit, "", None, note)


def skipped(name: str, why: str) -> Row:
    """A row that was not measured in this run, and why: nothing disappears from the table."""
    return Row(name, None, "", "", None, why)
