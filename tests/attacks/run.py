"""Run hostile and ordinary scripts through the real pool: `python tests/attacks/run.py [FOLDER ...]`.

A folder has `python/*.py` and `js/*.js` (attacks; one called `X_name` succeeds when the text `PWNED-X`
reaches an output or a log line) and `legit/*.py` with `*.json` (event or events, metadata,
libraries, expected). After every attack another script's batch must be right, in the same pool.
`--no-filter` runs without the kernel's filter, what the policy alone holds; `--both` runs one after the other.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from transformations import Pool
from transformations.base import Failed, Item, Library, Outputs, Script
from turnout.errors import ScriptError

HERE = Path(__file__).parent
Language = Literal["python", "javascript"]
EVENTS = [
    {"messageId": "1", "workspace": "A", "secret": "sA", "receivedAt": "2026-11-23T09:12:34.001Z"},
    {"messageId": "2", "workspace": "B", "receivedAt": "2026-11-23T09:12:34.001Z"},
    {"messageId": "3", "workspace": "A", "receivedAt": "2026-11-23T09:12:34.001Z"},
]
LIBRARY = Library("mylib", "DOMAINS = ['x.com']\n\n\ndef is_internal(email):\n    return False\n")
JAVASCRIPT_LIBRARY = Library(
    "mylib", "export const DOMAINS = ['x.com'];\nexport const isInternal = email => false;\n", language="javascript"
)
LIBRARIES = (LIBRARY, JAVASCRIPT_LIBRARY)
WITNESS = Script("witness", (
    "import json, re, uuid, collections\nimport mylib\n"
    "def transformEvent(event, metadata):\n"
    "    assert mylib.DOMAINS == ['x.com'] and not mylib.is_internal('a')\n"
    "    assert json.dumps({'a': 1}) == '{\"a\": 1}' and re.sub('a', 'b', 'a') == 'b'\n"
    "    assert uuid.UUID(int=1).hex[-1] == '1' and collections.Counter('aa')['a'] == 2\n"
    "    return {'messageId': event['messageId'], 'ok': True}\n"
), libraries=LIBRARIES)
WITNESSES = (WITNESS, Script("witness-js", (
    "import {DOMAINS, isInternal} from 'mylib';\n"
    "export function transformEvent(event, metadata) {\n"
    "  if (DOMAINS.join() !== 'x.com' || isInternal('a') || JSON.stringify({a: 1}) !== '{\"a\":1}') throw 1;\n"
    "  if ([1, 2].map(x => x + 1).join() !== '2,3' || 'a'.replace(/a/, 'b') !== 'b' || ({}).x) throw 2;\n"
    "  return {messageId: event.messageId, ok: true};\n"
    "}\n"
), language="javascript", libraries=LIBRARIES))


@dataclass
class Row:
    """How one script fared."""

    name: str
    good: bool
    outcome: str
    detail: str = ""


def item(event: Any, metadata: Any = None) -> Item:
    """An event as the pipeline hands it over."""
    return Item(json.dumps(event).encode(), json.dumps(metadata or {"sourceId": "s"}).encode())


async def attack(pool: Pool, path: Path, timeout: float = 1.0) -> Row:
    """Run one attack over events of two workspaces, then the witness."""
    source = path.read_bytes().decode("utf-8", "surrogatepass")
    mark = f"PWNED-{path.name.split('_')[0]}"
    language: Language = "javascript" if path.suffix == ".js" else "python"
    script = Script(
        path.stem, source, file=path.name, language=language, libraries=LIBRARIES, timeout=timeout
    )
    started = time.monotonic()
    try:
        # Two workspaces are two transformations, so two scripts.
        other = replace(script, name=path.stem + "-b")
        trials = [await pool.trial(script, [item(EVENTS[0])])]
        trials.append(await pool.trial(script, [item(EVENTS[1])]))  # the next batch, mostly of the same worker
        if "workspace" in source or "hoard" in path.name or "default_arg" in path.name:
            trials.append(await pool.trial(other, [item(EVENTS[1])]))
    except ScriptError as error:
        return Row(path.name, True, "refused", str(error))
    results = [ran for trial in trials for ran in trial.results]
    text = " ".join(line for trial in trials for line in trial.logs)
    text += b" ".join(b" ".join(ran.events) for ran in results if isinstance(ran, Outputs)).decode()
    outcome = "/".join(sorted({ran.kind if isinstance(ran, Failed) else "output" for ran in results}))
    detail = next((ran.reason for ran in results if isinstance(ran, Failed)), text[:100])
    if mark in text:
        return Row(path.name, False, "SUCCEEDED", text[:200])
    right = [json.dumps({"messageId": e["messageId"], "ok": True}, separators=(",", ":")).encode() for e in EVENTS]
    for one in WITNESSES:
        witness = await pool.run(one, [item(event) for event in EVENTS])
        if witness != [Outputs((output,)) for output in right]:
            return Row(path.name, False, "HURT ANOTHER", str(witness)[:200])
    took = time.monotonic() - started
    return Row(path.name, took < 60, outcome, f"{took:.1f} s {detail}")


async def legit(pool: Pool, path: Path) -> Row:
    """Run an ordinary script and compare."""
    case = json.loads(path.with_suffix(".json").read_text())
    libraries = tuple(Library(name, code) for name, code in case.get("libraries", {}).items())
    script = Script(path.stem, path.read_text(), file=path.name, libraries=libraries)
    event, expected = case["event"], case["expected"]
    events = event if isinstance(event, list) else [event]
    results = await pool.run(script, [item(one, case.get("metadata")) for one in events])
    failed = [ran.reason for ran in results if isinstance(ran, Failed)]
    if failed:
        return Row(path.name, False, "failed", failed[0])
    outputs = [json.loads(raw) for ran in results if isinstance(ran, Outputs) for raw in ran.events]
    wanted = expected if isinstance(expected, list) else [] if expected is None else [expected]
    return Row(path.name, outputs == wanted, "output", "" if outputs == wanted else f"{outputs} != {wanted}"[:300])


async def measure(folders: list[Path], *, locked: bool = True, timeout: float = 1.0) -> tuple[list[Row], list[Row]]:
    """Rows of all attacks and of all ordinary scripts of the folders."""
    pool = Pool(sandbox="auto" if locked else "off")
    await pool.start()
    try:
        hostile = [
            path for folder in folders for kind in ("python/*.py", "js/*.js") for path in sorted(folder.glob(kind))
        ]
        harmless = [path for folder in folders for path in sorted((folder / "legit").glob("*.py"))]
        attacks = [await attack(pool, path, timeout) for path in hostile]
        ordinary = [await legit(pool, path) for path in harmless]
    finally:
        await pool.stop()
    return attacks, ordinary


def main() -> int:
    """Print a table; the exit code is 1 when an attack succeeded or an ordinary script failed."""
    parser = argparse.ArgumentParser(description="Run attacks and ordinary scripts through the sandbox.")
    parser.add_argument("folders", nargs="*", type=Path, default=[HERE])
    parser.add_argument("--no-filter", action="store_true", help="without the kernel's filter")
    parser.add_argument("--both", action="store_true", help="with the filter, then without")
    parser.add_argument("-v", "--verbose", action="store_true", help="every script, not only the bad ones")
    options = parser.parse_args()
    good = True
    for locked in (True, False) if options.both else (not options.no_filter,):
        sys.stdout.write("with the system-call filter\n" if locked else "without it: the policy alone\n")
        attacks, ordinary = asyncio.run(measure(options.folders, locked=locked))
        _show("attacks", attacks, options.verbose)
        _show("ordinary scripts", ordinary, options.verbose)
        # Without the filter an attack may succeed: that is what the filter is for.
        good &= all(row.good for row in (*attacks, *ordinary)) or not locked
    return 0 if good else 1


def _show(title: str, rows: list[Row], verbose: bool) -> None:
    outcomes = ", ".join(f"{number} {name}" for name, number in Counter(row.outcome for row in rows).most_common())
    sys.stdout.write(f"  {title}: {sum(row.good for row in rows)} of {len(rows)} good ({outcomes})\n")
    for row in rows:
        if verbose or not row.good:
            sys.stdout.write(f"    {'good' if row.good else 'BAD '} {row.name}: {row.outcome}: {row.detail}\n")


if __name__ == "__main__":
    sys.exit(main())
