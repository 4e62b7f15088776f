"""`python -m bench`: every row, as a table and as bench/results/latest.json."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import sys
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import machine
from bench.row import Row

MODULES = ("log_bench", "ingest_bench", "transform_bench", "fanout_bench", "deliver_bench", "delivery_bench",
           "adapters_bench", "system_bench")
RESULTS = Path(__file__).parent / "results" / "latest.json"


def main() -> int:
    """Run, print, write; 1 where a module failed. A missed target is shown, and is no failure."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    areas = ", ".join(name.removesuffix("_bench") for name in MODULES)
    parser.add_argument("--only", metavar="AREA", action="append", help=f"one of {areas}; may be repeated")
    parser.add_argument("--output", type=Path, default=RESULTS, help="where the JSON goes")
    options = parser.parse_args()
    console, facts, found, failed = Console(), machine.describe(), [], False
    console.print("  ".join(f"{name}: {value}" for name, value in facts.items()), highlight=False)
    for name in MODULES:
        if options.only and name.removesuffix("_bench") not in options.only:
            continue
        began = time.monotonic()
        rows, broken = _run(name, console)
        found += rows
        failed |= broken
        console.print(f"{name}: {len(rows)} rows in {time.monotonic() - began:.0f} s", highlight=False)
    console.print(_table(found))
    options.output.parent.mkdir(exist_ok=True)
    result = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": facts,
              "rows": [row.as_dict() for row in found]}
    options.output.write_text(json.dumps(result, indent=1) + "\n")
    missed = [row.name for row in found if row.ok is False]
    console.print(f"{len(found)} rows, {len(missed)} targets missed; written to {options.output.name}")
    return 1 if failed or not found else 0


def _run(name: str, console: Console) -> tuple[list[Row], bool]:
    """A module's rows, and whether it broke: one broken module does not take the others' figures."""
    if importlib.util.find_spec(f"bench.{name}") is None:
        return [Row(name, None, note="there is no such module", ok=False)], True
    try:
        return importlib.import_module(f"bench.{name}").rows(), False
    except Exception as error:
        console.print(f"{name} failed:", style="red")
        traceback.print_exception(error, file=sys.stderr)
        return [Row(name, None, note=f"failed: {type(error).__name__}: {error}"[:200], ok=False)], True


def _table(rows: list[Row]) -> Table:
    table = Table(box=None, pad_edge=False)
    for title, justify in (("what", "left"), ("figure", "right"), ("unit", "left"), ("target", "left"),
                           ("", "left"), ("note", "left")):
        table.add_column(title, justify=justify, overflow="fold")  # type: ignore[arg-type]  # literals, in a loop
    marks = {True: "[green]ok[/]", False: "[red]missed[/]", None: ""}
    for row in rows:
        figure = "-" if row.value is None else f"{row.value:.3g}" if row.value < 100 else f"{row.value:,.0f}"
        table.add_row(row.name, figure, row.unit, row.target, marks[row.ok], row.note)
    return table


if __name__ == "__main__":
    raise SystemExit(main())
