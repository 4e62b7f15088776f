"""What changed between two JSON values, as rows that people can read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["apply", "difference"]

_PLAIN = re.compile(r"[A-Za-z_$][\w$-]*")
DEPTH = 64
"""Values below this depth are compared whole."""


def difference(before: Any, after: Any) -> list[dict[str, Any]]:
    """Rows `{"op": "add" | "remove" | "change", "path": [...], "at": "a.b[0]", "from", "to"}`.

    Objects are compared by key, arrays by index; `apply` makes `after` of `before` and the rows.
    """
    return list(_rows(before, after, ()))


def _rows(before: Any, after: Any, path: tuple[str | int, ...]) -> Iterator[dict[str, Any]]:
    if isinstance(before, Mapping) and isinstance(after, Mapping) and len(path) < DEPTH:
        for key in [*before, *(key for key in after if key not in before)]:
            if key not in after:
                yield _row("remove", (*path, key), before[key], None)
            elif key not in before:
                yield _row("add", (*path, key), None, after[key])
            else:
                yield from _rows(before[key], after[key], (*path, key))
    elif isinstance(before, list | tuple) and isinstance(after, list | tuple) and len(path) < DEPTH:
        for index in range(min(len(before), len(after))):
            yield from _rows(before[index], after[index], (*path, index))
        for index in range(len(before), len(after)):
            yield _row("add", (*path, index), None, after[index])
        for index in reversed(range(len(after), len(before))):
            yield _row("remove", (*path, index), before[index], None)
    elif not _same(before, after):
        yield _row("change", path, before, after)


def _same(before: Any, after: Any) -> bool:
    """Equal as JSON: true is not 1, and 1 is not 1.0 for whoever reads the text."""
    if type(before) is not type(after):
        return False
    if isinstance(before, dict):
        return before.keys() == after.keys() and all(_same(before[key], after[key]) for key in before)
    if isinstance(before, list):
        return len(before) == len(after) and all(map(_same, before, after))
    return bool(before == after)


def _row(op: str, path: tuple[str | int, ...], before: Any, after: Any) -> dict[str, Any]:
    row: dict[str, Any] = {"op": op, "path": list(path), "at": _shown(path)}
    if op != "add":
        row["from"] = before
    if op != "remove":
        row["to"] = after
    return row


def _shown(path: tuple[str | int, ...]) -> str:
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN.fullmatch(step):
            text += f".{step}" if text else step
        else:
            text += f'["{step}"]'
    return text or "(the whole)"


def apply(before: Any, rows: list[dict[str, Any]]) -> Any:
    """What the rows make of a value; lists and objects of `before` are not touched."""
    made = _copy(before)
    for row in rows:
        *way, last = row["path"] or [None]
        if last is None:
            made = _copy(row["to"])
            continue
        holder = made
        for step in way:
            holder = holder[step]
        if row["op"] == "remove":
            del holder[last]
        elif row["op"] == "add" and isinstance(holder, list):
            holder.append(_copy(row["to"]))
        else:
            holder[last] = _copy(row["to"])
    return made


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value
