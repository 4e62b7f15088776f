"""`python -m bench.faults`: every fault, as a table; 1 where something was lost, out of order or wrong.

A line per part says how far it is; `bench/results/faults.json` has what came of each when all were run. The last two
parts are the stateful model with many examples, and the tests of the faults.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from rich.console import Console
from rich.table import Table

from bench import machine as machines
from bench.faults.account import Outcome
from bench.faults.clocks import jumping_clock
from bench.faults.damage import DAMAGES, damaged
from bench.faults.destinations import FAULTS, sick
from bench.faults.full_disk import full_disk, limited_files, mountable
from bench.faults.kills import TARGETS, kill_under_load
from bench.faults.machine import compiler
from bench.faults.syncs import PLACES, failed_sync

__all__ = ["main", "scenarios"]

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "bench" / "results"
NO_COMPILER = "it needs a C compiler (cc)"
NO_MOUNT = "it needs to mount a small file system (root); the limit on file size stands for it"
Scenario = Callable[[Path], Outcome]
Say = Callable[[str], None]


def scenarios(kills: int, seed: int, examples: int, say: Say) -> dict[str, Scenario]:
    """Every scenario by its name."""
    found: dict[str, Scenario] = {
        f"kill -9: {target}": partial(kill_under_load, kills=kills, targets=(target,), seed=seed, say=say)
        for target in TARGETS
    }
    found["kill -9: every role, at random"] = partial(kill_under_load, kills=kills, seed=seed, say=say)
    found["kill -9: every role of two pipelines"] = partial(
        kill_under_load, kills=kills, pipelines=2, seed=seed, say=say
    )
    found["disk: full"] = full_disk
    found["disk: files may not grow"] = limited_files
    for place in PLACES:
        found[f"sync fails: {place}"] = partial(failed_sync, place=place)
    found["clock: set by hours and days"] = partial(jumping_clock, seed=seed)
    for name in FAULTS:
        found[f"destination: {name.replace('_', ' ')}"] = partial(sick, faults=(name,))
    found["destinations: all of these at once"] = partial(sick, seconds=8.0)
    for name in DAMAGES:
        found[name] = partial(damaged, name=name, seed=seed)
    found["model: events, moods, pauses, crashes"] = partial(
        _tests, path="tests/deliver/test_model.py", environ={"MODEL_EXAMPLES": str(examples)})
    found["tests/faults"] = partial(_tests, path="tests/faults")
    return found


def main() -> int:
    """Run, print, and say how it ended."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.faults", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30, help="of each kind of process, and at random (30)")
    parser.add_argument("--seed", type=int, default=7, help="what makes a run repeatable (7)")
    parser.add_argument("--examples", type=int, default=500, help="runs of the stateful model (500)")
    parser.add_argument("--only", metavar="WORD", default="", help="parts whose name has this word")
    parser.add_argument("--list", action="store_true", help="the names of the parts, and run none")
    parser.add_argument("--json", action="store_true", help="the outcome as JSON on stdout, progress on stderr")
    options = parser.parse_args()
    console = Console(stderr=options.json, highlight=False)
    with console.status("") as status:
        say: Say = status.update if console.is_terminal else lambda _: None
        chosen = {
            name: run for name, run in scenarios(options.kills, options.seed, options.examples, say).items()
            if options.only in name
        }
        if options.list or not chosen:
            status.stop()
            print(*chosen or [f"no part has {options.only} in its name (--list)"], sep="\n")
            return 0 if chosen else 2
        signal.signal(signal.SIGTERM, _interrupt)
        outcomes, interrupted = _all(chosen, console, say)
    return _report(outcomes, options, console, interrupted)


def _all(chosen: Mapping[str, Scenario], console: Console, say: Say) -> tuple[list[Outcome], bool]:
    """Run them one after the other, a line for each; whether a person had enough."""
    outcomes: list[Outcome] = []
    began = time.monotonic()
    for number, (name, run) in enumerate(chosen.items(), 1):
        say(name)
        begun = time.monotonic()
        try:
            outcome = _run(name, run)
        except KeyboardInterrupt:
            console.print(f"interrupted in {name}; nothing of it runs any more", style="yellow")
            return outcomes, True
        outcome.scenario, outcome.seconds = name, round(time.monotonic() - begun, 1)
        outcomes.append(outcome)
        elapsed = divmod(int(time.monotonic() - began), 60)
        said = f"not run: {outcome.skipped}" if outcome.skipped else "ok" if outcome.ok else "[red]FAILED[/]"
        console.print(f"{number:>2}/{len(chosen)} {elapsed[0]:>3}:{elapsed[1]:02} {name}: {said} "
                      f"({outcome.seconds:.0f} s)")  # fmt: skip
        for wrong in _wrong(outcome):
            console.print(f"         {wrong}", style="red", markup=False)
    return outcomes, False


def _run(name: str, run: Scenario) -> Outcome:
    """One scenario in a folder of its own; one that breaks does not take the others with it."""
    with tempfile.TemporaryDirectory(prefix="turnout-faults-", ignore_cleanup_errors=True) as text:
        folder = Path(text)
        if name == "disk: full" and not mountable(folder / "try"):
            return Outcome(name, skipped=NO_MOUNT)
        if compiler() is None and any(word in name for word in ("sync fails", "clock", "resolver", "all of these")):
            return Outcome(name, skipped=NO_COMPILER)
        try:
            outcome = run(folder / "plane")
        except Exception as error:
            traceback.print_exception(error, file=sys.stderr)
            outcome = Outcome(name, wrong=[f"{type(error).__name__}: {error}"[:300]])
        if not outcome.ok:
            _keep(name, folder / "plane" / "turnout.log")
        return outcome


def _keep(name: str, log: Path) -> None:
    """What the data plane said where something was wrong, beside the results."""
    if log.exists():
        kept = RESULTS / "faults" / f"{''.join(c if c.isalnum() else '-' for c in name)}.log"
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(log.read_bytes())


def _tests(_: Path, path: str, environ: Mapping[str, str] | None = None) -> Outcome:
    """Tests in a process of their own, in which Ctrl-C ends them too."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", path]
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, **(environ or {})}, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True) as process:  # fmt: skip
        try:
            said, _unused = process.communicate()
        except BaseException:
            process.send_signal(signal.SIGINT)
            process.communicate()
            raise
    lines = said.strip().splitlines() or ["it said nothing"]
    outcome = Outcome(path, note=lines[-1].strip("= "))
    if process.returncode:
        outcome.wrong = [line for line in lines if line.startswith(("E  ", "FAILED", "ERROR"))][-10:] or lines[-3:]
    return outcome


def _interrupt(_: int, __: FrameType | None) -> NoReturn:
    """SIGTERM ends it as Ctrl-C does: what runs is killed, what is mounted is unmounted."""
    raise KeyboardInterrupt


def _wrong(outcome: Outcome) -> list[str]:
    """Everything that is not as it must be, as sentences."""
    counts = (
        (outcome.lost, "lost"), (outcome.disordered, "out of order"),
        (outcome.stray, "came again though no kill was near"),
    )
    return [f"{count} {what}" for count, what in counts if count] + outcome.wrong


def _report(outcomes: list[Outcome], options: argparse.Namespace, console: Console, interrupted: bool) -> int:
    """The table or the JSON, and the file beside it; the exit code."""
    bad = [outcome for outcome in outcomes if not outcome.ok]
    skipped = sum(bool(outcome.skipped) for outcome in outcomes)
    totals = {name: sum(getattr(one, name) for one in outcomes)
              for name in ("kills", "acknowledged", "lost", "again", "stray", "disordered")}  # fmt: skip
    found = {
        "ok": not bad and not interrupted, "interrupted": interrupted, "failed": [one.scenario for one in bad],
        "seed": options.seed, "seconds": round(sum(one.seconds for one in outcomes), 1), "totals": totals,
        "machine": machines.describe(), "parts": [_plain(one) for one in outcomes],
    }
    if not options.only:
        RESULTS.mkdir(parents=True, exist_ok=True)
        (RESULTS / "faults.json").write_text(json.dumps(found, indent=1) + "\n")
    if options.json:
        print(json.dumps(found))
    else:
        if outcomes:
            console.print(_table(outcomes))
        for outcome in bad:
            console.print(f"{outcome.scenario}: {'; '.join(_wrong(outcome))}", style="red", markup=False)
    minutes, seconds = divmod(int(sum(one.seconds for one in outcomes)), 60)
    console.print(
        f"{len(outcomes)} parts in {minutes}:{seconds:02}, {skipped} not run; {totals['kills']} kills, "
        f"{totals['acknowledged']:,} events acknowledged, {totals['lost']} lost, {totals['stray']} doubled outside the "
        f"window, {totals['disordered']} out of order; {len(bad)} failed"
    )
    return 130 if interrupted else 1 if bad else 0


def _plain(outcome: Outcome) -> dict[str, Any]:
    return {**asdict(outcome), "missing": sorted(outcome.missing), "ok": outcome.ok}


def _table(outcomes: list[Outcome]) -> Table:
    table = Table(box=None, pad_edge=False)
    for title, justify in (
        ("part", "left"), ("kills", "right"), ("acknowledged", "right"), ("lost", "right"),
        ("doubled", "right"), ("at most before a kill", "right"), ("outside", "right"), ("out of order", "right"),
        ("sums", "left"), ("note", "left"),
    ):
        table.add_column(title, justify=justify, overflow="fold")  # type: ignore[arg-type]  # literals
    for one in outcomes:
        verdict = "not run" if one.skipped else "[red]no[/]" if one.wrong else "[green]hold[/]"
        table.add_row(
            one.scenario, str(one.kills), f"{one.acknowledged:,}", str(one.lost), str(one.again),
            f"{one.window * 1000:.0f} ms" if one.window else "", str(one.stray), str(one.disordered),
            verdict, one.skipped or one.note,
        )
    return table


if __name__ == "__main__":
    raise SystemExit(main())
