"""Scripts against recorded answers of a peer, through `turnout transform --jsonl`.

Outputs are compared as JSON whatever their order (a peer's is that
of completion); texts of errors loosely. A case leaves the count only through
`transformations/deviations.yaml`.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

__all__ = ["case_of", "compare", "measure"]

ROOT = Path(__file__).parent.parent
_TAKEN = ("id", "language", "code_version", "code", "events", "credentials", "fetch", "geolocation")
PLACES = {
    "1.2.3.4": {"ip": "1.2.3.4"}, "1.1.1.1": {"country": "US", "region": "CA", "city": "San Francisco"},
}
"""What the peer's stand-in for a geolocation service knew."""
MOST = 0.1
"""Share of the cases that may deviate."""
LEAST = 0.98
"""Share of the others that is to be as expected."""


def case_of(vector: Mapping[str, Any]) -> dict[str, Any]:
    """A vector as a line for `turnout transform --jsonl`."""
    case = {key: vector[key] for key in _TAKEN if vector.get(key) is not None}
    case["libraries"] = [{"name": one["name"], "code": one["code"]} for one in vector.get("libraries") or []]
    if vector.get("needs_geolocation"):
        case["geolocation"] = PLACES
    return case


def compare(expected: Any, found: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> str:
    """"" where a result is as expected, else the first difference."""
    rows = found["results"]
    if isinstance(expected, dict) and ("success" in expected or "failed" in expected):
        return _counts(expected, rows, events)
    if isinstance(expected, dict) and "error" in expected and "result" not in expected:
        return _all_failed(str(expected["error"]), rows)
    wanted = expected["result"] if isinstance(expected, dict) and "result" in expected else expected
    if isinstance(wanted, dict):  # of a trial: what came out, or an error, and log lines
        if "transformedEvents" not in wanted:
            return "" if any("error" in row for row in rows) else f"an error expected: {str(wanted)[:100]}"
        lines = wanted.get("logs") or []
        if lines and lines != found["logs"]:
            return f"log lines: {lines} expected, {found['logs']} found"
        wanted = [one if "error" in one else {"output": one} for one in wanted["transformedEvents"]]
    return _outputs(wanted, rows)


def _outputs(wanted: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]) -> str:
    outputs = [row.get("output", row.get("transformedEvent")) for row in wanted if "error" not in row]
    outputs = [one for one in outputs if one is not None]
    mine = Counter(_key(row["output"]) for row in rows if "output" in row)
    theirs = Counter(_key(one) for one in outputs)
    if mine != theirs:
        return f"outputs differ: {sum((theirs - mine).values())} missing, {sum((mine - theirs).values())} more"
    errors = [str(row["error"]) for row in wanted if "error" in row]
    said = [str(row["error"]) for row in rows if "error" in row]
    # A peer tells the error of a whole run once; Turnout tells it of every event.
    if bool(errors) != bool(said):
        return f"errors differ: {errors[:1]} expected, {said[:1]} found"
    if errors and not any(alike(errors[0], one) for one in said):
        return f"another error: {errors[0]!r} expected, {said[0]!r} found"
    return ""


def _all_failed(text: str, rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows or any("error" not in row for row in rows):
        return f"every event should fail with {text!r}"
    return "" if alike(text, rows[0]["error"]) else f"another error: {text!r} expected, {rows[0]['error']!r} found"


def _counts(
    expected: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], events: Sequence[Mapping[str, Any]]
) -> str:
    outputs = [row["output"] for row in rows if "output" in row]
    failed = {row["event"] for row in rows if "error" in row}
    said = " ".join(str(row["error"]) for row in rows if "error" in row)
    ids = {str(events[row["event"]]["message"].get("messageId")) for row in rows if "error" in row}
    dropped = {str(events[row["event"]]["message"].get("messageId")) for row in rows if row.get("dropped")}
    checks = (
        ("success", len(outputs), expected.get("success", len(outputs))),
        ("failed", len(failed), expected.get("failed", len(failed))),
        ("failed_ids", ids, set(expected.get("failed_ids", ids))),
        ("dropped", dropped, set(expected.get("filtered_298", dropped))),
    )
    for name, mine, theirs in checks:
        if mine != theirs:
            return f"{name}: {theirs} expected, {mine} found"
    if (text := expected.get("error_contains")) and not alike(text, said):
        return f"another error: {text!r} expected, {said[:200]!r} found"
    has = expected.get("each_output_has", {})
    if any(one.get(key) != value for one in outputs for key, value in has.items()):
        return f"an output lacks {has}"
    for one, part in zip(outputs, expected.get("outputs_in_order", []), strict=False):
        if any(one.get(key) != value for key, value in part.items()):
            return f"an output lacks {part}"
    return ""


def alike(expected: str, found: str) -> bool:
    """Whether two texts tell the same error: most words of one are in the other."""
    first = expected.split("\n", maxsplit=1)[0]
    wanted = set(re.findall(r"[a-z_$]{3,}", first.lower())) - {"error", "the", "transformation"}
    words = set(re.findall(r"[a-z_$]{3,}", found.lower()))
    kinds = [set(re.findall(r"\b[A-Z][a-z]+Error\b", text)) for text in (expected, found)]
    if not wanted or kinds[0] & kinds[1]:
        return bool(wanted) or first.removeprefix("Error: ") in found
    timed = {"timed", "timeout", "longer", "deadline"}
    if wanted & timed and words & timed:
        return True
    if "memory" in wanted and "memory" in words:
        return True
    return len(wanted & words) >= max(1, len(wanted) // 2)


def _key(value: Any) -> str:
    return json.dumps(_numbers(value), sort_keys=True)


def _numbers(value: Any) -> Any:
    """Numbers as JavaScript has them, 1.0 is 1; without stacks, which tell of the peer's own files."""
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items() if key != "stack"}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def measure(folder: Path, *, verbose: bool) -> int:
    """Print a table and the first differences; 1 where fewer than 98 % of the cases are as expected."""
    vectors = json.loads((folder / "user_transformations.json").read_text())
    lines = "\n".join(json.dumps(case_of(vector)) for vector in vectors)
    ran = subprocess.run(
        [sys.executable, "-m", "dataplane.cli.main", "transform", "--jsonl"],
        input=lines, capture_output=True, text=True, check=True, cwd=ROOT,
    )
    found = [json.loads(line) for line in ran.stdout.splitlines()]
    deviating = yaml.safe_load((ROOT / "transformations/deviations.yaml").read_text()) or {}
    groups: dict[str, Counter[str]] = {}
    differences: list[str] = []
    for vector, result in zip(vectors, found, strict=True):
        group = groups.setdefault(f"{vector['origin']} {vector['language']}", Counter())
        group["total"] += 1
        if vector["id"] in deviating:
            group["deviating"] += 1
        elif difference := compare(vector["expect"], result, vector["events"]):
            differences.append(f"{vector['id']}: {difference}")
        else:
            group["passed"] += 1
    return _report(groups, differences, verbose=verbose)


def _report(groups: Mapping[str, Counter[str]], differences: Sequence[str], *, verbose: bool) -> int:
    for name, group in groups.items():
        print(f"{name:28} {group['passed']:4} passed {group['deviating']:4} deviating {group['total']:4} in all")
    for line in differences if verbose else differences[:10]:
        print(f"  {line}")
    total = sum(group["total"] for group in groups.values())
    deviating = sum(group["deviating"] for group in groups.values())
    passed = sum(group["passed"] for group in groups.values())
    share = passed / max(1, total - deviating)
    print(f"user transformations: {passed} of {total - deviating} as expected ({share:.1%}), {deviating} deviating")
    return 0 if share >= LEAST and deviating <= total * MOST else 1
