"""The same events through two configurations, by the code of production."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dataplane.clock import SystemClock
from dataplane.config import parse
from dataplane.inspect.planning import SLICE, Side, changes, refusals
from dataplane.inspect.preview import sequence
from dataplane.pipeline.numbered import Sequenced
from transformations.base import Item, Outputs, Ran, Script, Trial
from turnout.errors import Fixable, Stopped

CONFIG = """
sources: {web: {write_key: k}, app: {write_key: k2, enabled: true}}
transformations: {clean: {file: clean.py}}
destinations:
  hook: {type: webhook, settings: {webhook_url: "https://example.com/"}, transformation: clean}
  disk: {type: file, settings: {path: out}}
"""


class Slow:
    """A runner that passes events on, each batch in `seconds` of time."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.runs = 0

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def check(self, script: Script) -> None: ...

    async def run(self, script: Script, items: Sequence[Item]) -> list[Ran]:
        self.runs += 1
        await asyncio.sleep(self.seconds)
        return [Outputs((item.event,)) for item in items]


@pytest.fixture
def base(tmp_path: Path) -> str:
    (tmp_path / "clean.py").write_text("def transformEvent(event, metadata):\n    return event\n")
    return str(tmp_path / "config.yaml")


def events(number: int, source: str = "web") -> list[Sequenced]:
    rows = [{"type": "track", "event": "Step", "userId": "u", "messageId": f"m{n}"} for n in range(number)]
    return sequence([json.dumps(row).encode() for row in rows], source, datetime.now(UTC), trusted=False)


async def compared(base: str, candidate: str, taken: list[Sequenced], runner: Slow, **more: Any) -> dict[str, Any]:
    one, other = Side(parse(CONFIG, base, {})), Side(parse(candidate, base, {}))
    return await changes(one, other, taken, runner=runner, clock=SystemClock(), **more)


async def test_one_configuration_twice_runs_nothing_and_differs_in_nothing(base: str) -> None:
    runner = Slow()
    found = await compared(base, CONFIG, events(3), runner)
    assert found["same"]
    assert {one["state"] for one in found["destinations"].values()} == {"same"}
    assert runner.runs == 0


@pytest.mark.parametrize(
    ("old", "new", "name", "kinds"),
    [
        ("transformation: clean", "sources: [app]", "hook", {"sent → filtered"}),
        ("transformation: clean", "enabled: false", "hook", {"sent → waiting"}),
        ("transformation: clean", "delivery: {rate: 5}, transformation: clean", "hook", set()),
        ("https://example.com/", "https://example.com/other", "hook", {"request"}),
        ("  disk:", "  renamed: {was: disk, type: file, settings: {path: out}}\n  extra:", "extra", set()),
        ("{web: {write_key: k}, app", "{app", "disk", {"sent → filtered"}),
    ],
)
async def test_each_kind_of_change(base: str, old: str, new: str, name: str, kinds: set[str]) -> None:
    found = await compared(base, CONFIG.replace(old, new), events(4), Slow())
    one = found["destinations"][name]
    assert {change["kind"] for change in one["changes"]} == kinds
    assert all(change["count"] == 4 for change in one["changes"])
    if "renamed" in new:
        assert found["destinations"]["renamed"]["state"] == "renamed"
        assert found["destinations"]["renamed"]["was"] == "disk"
        assert one["state"] == "new"
    if "rate" in new:
        assert found["same"]
        assert one["settings"] == ["delivery.rate"]


async def test_what_could_be_compared_in_time_is_told(base: str) -> None:
    other = CONFIG.replace("https://example.com/", "https://example.com/other")
    taken = events(SLICE * 40)
    steps: list[int] = []
    found = await compared(base, other, taken, Slow(0.05), seconds=1.0, step=steps.append)
    assert steps == [*range(SLICE, found["events"] + 1, SLICE)]
    assert 0 < found["events"] < len(taken)
    assert (found["events"] % SLICE, found["ended"]) == (0, "time ran out")
    assert found["destinations"]["hook"]["changes"][0]["count"] == found["events"]
    with pytest.raises(Fixable, match="not even the first events: time ran out"):
        await compared(base, other, taken, Slow(30.0), seconds=0.1)


async def test_a_script_that_is_killed_again_and_again_ends_it_there(base: str) -> None:
    other = CONFIG.replace("https://example.com/", "https://example.com/other")

    class Killing(Slow):
        async def run(self, script: Script, items: Sequence[Item]) -> list[Ran]:
            if self.runs >= 4:  # two slices on both sides
                raise Stopped("transformation clean is stopped: its worker was killed", script="clean")
            return await Slow.run(self, script, items)

    found = await compared(base, other, events(SLICE * 5), Killing())
    assert (found["events"], found["ended"]) == (
        2 * SLICE, "transformation clean is stopped: its worker was killed"
    )
    assert found["destinations"]["hook"]["changes"][0]["count"] == 2 * SLICE


@pytest.mark.parametrize(("left", "more", "note"), [
    (None, "", "while it has a backlog, a reload wants `was: disk` at"),
    (None, "discard: [disk]", "its backlog is given up (`discard`)"),
    ({}, "", "it has no backlog"),
    ({"disk": {"unread": 1_200, "aside": 3}}, "discard: [disk]",
     "it has a backlog, which is given up (`discard`): up to 1,200 events unread, 3 put aside"),
    ({"disk": {"unread": 0, "aside": 3}}, "",
     "it has a backlog, and nothing says what is to become of it: up to 0 events unread, 3 put aside"),
])  # fmt: skip
async def test_what_becomes_of_a_backlog_is_said(base: str, left: Any, more: str, note: str) -> None:
    gone = "\n".join(line for line in CONFIG.splitlines() if "disk:" not in line) + f"\n{more}\n"
    found = await compared(base, gone, events(1), Slow(), left=left)
    (said,) = found["destinations"]["disk"]["notes"]
    assert said.startswith(note)
    assert found["destinations"]["hook"]["notes"] == []


async def test_a_misspelt_was_is_said(base: str) -> None:
    found = await compared(base, CONFIG.replace("disk: {", "files: {was: dsk, "), events(1), Slow())
    assert found["destinations"]["files"]["notes"] == [
        "`was: dsk`: there is no such destination (did you mean disk?), so it begins anew"
    ]


async def test_fixtures_that_never_end_are_named(base: str) -> None:
    class Stuck(Slow):
        async def trial(self, script: Script, items: Sequence[Item], reach: Any) -> Trial:
            await asyncio.Event().wait()
            raise AssertionError

    config = parse(CONFIG, base, {})
    assert await refusals(config, Stuck(), 0.01) == []  # there are none
    Path(base).with_name("clean.test.yaml").write_text("cases: [{name: a, event: {}, dropped: true}]")
    (said,) = await refusals(config, Stuck(), 0.01)
    assert said.startswith("the fixtures took longer than 0.01 s, and a reload waits no longer: `turnout test`")
