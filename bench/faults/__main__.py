"""`python -m bench.faults`: every fault, as a table; 1 where something was lost, out of order or wrong.

`--kills` is how many kills each role gets, `--seed` what makes a run repeatable, `--only` a scenario
whose name has this word.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.faults.account import Outcome
from bench.faults.damage import DAMAGES, damaged
from bench.faults.destinations import FAULTS, sick
from bench.faults.full_disk import full_disk, mountable
from bench.faults.kills import TARGETS, kill_under_load

__all__ = ["main"]

Scenario = Callable[[Path], Outcome]


def scenarios(kills: int, seed: int, say: Callable[[str], None]) -> dict[str, Scenario]:
    """Every scenario by its name."""
    found: dict[str, Scenario] = {
        f"kill -9: {target}": partial(kill_under_load, kills=kills, targets=(target,), seed=seed, say=say)
        for target in TARGETS
    }
    found["kill -9: all roles, at random"] = partial(kill_under_load, kills=kills, seed=seed, say=say)
    found["disk full"] = full_disk
    for name in FAULTS:
        found[f"destination: {name.replace('_', ' ')}"] = partial(sick, faults=(name,))
    found["destinations: all of these at once"] = sick
    for name in DAMAGES:
        found[name] = partial(damaged, name=name, seed=seed)
    return found


def main() -> int:
    """Run, print, and say how it ended."""
    parser = argparse.ArgumentParser(prog="python -m bench.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=32)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--only", metavar="WORD", default="")
    options = parser.parse_args()
    console, outcomes = Console(), []
    chosen = scenarios(options.kills, options.seed, lambda line: console.print(line, highlight=False))
    for name, run in chosen.items():
        if options.only in name:
            outcomes.append(_run(name, run))
    console.print(_table(outcomes))
    bad = [outcome for outcome in outcomes if not outcome.ok]
    for outcome in bad:
        console.print(f"{outcome.scenario}: {'; '.join(outcome.wrong)}", style="red", highlight=False)
    console.print(f"{len(outcomes)} scenarios, {sum(o.kills for o in outcomes)} kills, {len(bad)} failed")
    return 1 if bad or not outcomes else 0


def _run(name: str, run: Scenario) -> Outcome:
    """One scenario in a folder of its own; one that breaks does not take the others with it."""
    with tempfile.TemporaryDirectory(prefix="turnout-faults-") as folder:
        if run is full_disk and not mountable(Path(folder) / "try"):
            return Outcome(name, note="not run: it needs to mount a small file system (root)")
        try:
            outcome = run(Path(folder))
        except Exception as error:
            traceback.print_exception(error, file=sys.stderr)
            return Outcome(name, wrong=[f"{type(error).__name__}: {error}"[:300]])
    outcome.scenario = name
    return outcome


def _table(outcomes: list[Outcome]) -> Table:
    table = Table(box=None, pad_edge=False)
    for title, justify in (
        ("scenario", "left"), ("kills", "right"), ("acknowledged", "right"), ("lost", "right"),
        ("duplicates", "right"), ("at most before a kill", "right"), ("order violations", "right"),
        ("sums hold", "left"), ("note", "left"),
    ):
        table.add_column(title, justify=justify, overflow="fold")  # type: ignore[arg-type]  # literals
    for one in outcomes:
        table.add_row(
            one.scenario, str(one.kills), f"{one.acknowledged:,}", str(one.lost), str(one.again),
            f"{one.window * 1000:.0f} ms" if one.window else "", str(one.disordered),
            "[red]no[/]" if one.wrong else "[green]yes[/]", one.note,
        )
    return table


if __name__ == "__main__":
    raise SystemExit(main())
