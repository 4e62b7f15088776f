"""The engine, driven at random and compared with a simple model, event by event.

Sends, moods of destinations, pauses, reloads, time and crashes come in any order. The world (model_world.py,
model_jobs.py) sees every request and judges order, caps, pauses and doubles as it leaves; at the end everything is
well again, time passes, and every event must have the verdict that its last answer says.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import Coroutine
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

from engine_kit import InProcess
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from model_jobs import Jobs, Stepped
from model_sdk import SDK
from model_world import Itemised, Sender, Side
from virtual_time import Inline, VirtualLoop

from dataplane.config import parse
from dataplane.config.pauses import Kind, Pause, Pauses
from dataplane.deliver import desk, verbs
from dataplane.deliver.engine import Engine
from dataplane.log.memory import MemoryLog
from dataplane.log.partitions import Partitions
from dataplane.pipeline.scripts import Texts
from turnout.testing.fake_clock import FakeClock

EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "30"))
USERS = [f"u{n}" for n in range(6)]
IDENTS = st.sampled_from(["one", "two", "three"])
PAUSABLE: list[tuple[Kind, str]] = [
    ("destination", "one"), ("destination", "two"), ("destination", "three"), ("transformation", "split"),
    ("source", "web"),
]
HOLD, RETRY = 60.0, 1_800.0
CONFIG = """
egress: {{allow_private: true}}
sources: {{web: {{write_key: k}}}}
transformations: {{split: {{file: split.py}}}}
destinations:
  one:
    type: webhook
    settings: {{webhook_url: "http://127.0.0.1:9/"}}
    start: beginning
    enabled: {one.enabled}
    delivery: {one.delivery}
  two:
    type: webhook
    settings: {{webhook_url: "http://127.0.0.1:9/"}}
    start: beginning
    enabled: {two.enabled}
    delivery: {two.delivery}
    transformation: split
  three:
    type: webhook
    settings: {{webhook_url: "http://127.0.0.1:9/"}}
    start: beginning
    enabled: {three.enabled}
    delivery: {three.delivery}
"""
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None


class InWorld(Engine):
    """The engine with the world in place of its sockets."""

    sides: dict[str, Side]
    expected: dict[str, dict[str, list[tuple[int, int, int]]]]
    jobs: Jobs

    async def prepare(self, config: Any, texts: Texts | None = None) -> None:
        """As ever; then every plan gets the world's sender and the adapter that reads items."""
        await super().prepare(config, texts)
        assert self._prepared is not None
        self._prepared = {
            ident: replace(plan, adapter=Itemised(plan.adapter.settings),
                           sender=Sender(self.sides[ident], self.expected[ident]))
            for ident, plan in self._prepared.items()
        }
        three = self._prepared["three"]
        self._prepared["three"] = replace(
            three, adapter=Stepped(three.adapter.settings, self.jobs), sender=self.jobs
        )


class Rules:
    """One destination's part of the config."""

    def __init__(self, batch: int, concurrency: int, order: str) -> None:
        self.enabled, self.batch, self.concurrency, self.order = "true", batch, concurrency, order

    @property
    def delivery(self) -> str:
        return (f"{{batch: {self.batch}, linger: 50ms, concurrency: {self.concurrency}, order: {self.order}, "
                f"hold_for: {HOLD:g}s, retry_for: {RETRY:g}s, timeout: 5s}}")


def split(event: dict[str, Any], version: int) -> Any:
    n = event["properties"]["n"]
    if n % 6 == 5:
        return None
    if n % 6 == 4:
        raise ValueError("four")
    parts = 2 if n % 6 == 3 else 1
    return [{**event, "properties": {"n": n, "child": child, "made": version}} for child in range(parts)]


class EngineModel(RuleBasedStateMachine):
    """See the module."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="turnout-model-", dir=MEMORY))
        (self.folder / "split.py").write_text("def transformEvent(event, metadata):\n    return event\n")
        self.clock = FakeClock()
        self.loop = VirtualLoop(self.clock)
        self.patches = [
            patch("dataplane.deliver.ledger.ThreadPoolExecutor", Inline),
            patch("dataplane.deliver.chains.CAP", 12),
            patch("dataplane.deliver.chains.CAP_USER", 4),
        ]
        for one in self.patches:
            one.start()
        self.log = MemoryLog()
        self.sides = {"one": Side(self.clock), "two": Side(self.clock), "three": Side(self.clock)}
        self.rules = {"one": Rules(1, 8, "user"), "two": Rules(5, 3, "user"), "three": Rules(5, 2, "user")}
        self.expected: dict[str, dict[str, list[tuple[int, int, int]]]] = {
            ident: {user: [] for user in USERS} for ident in self.sides
        }
        self.count = dict.fromkeys(USERS, 0)
        self.serial = 0
        self.tally = {ident: {"filtered": 0, "dead": 0, "born": 0} for ident in self.sides}
        """What the model knows of verdicts without an answer: filtered by route or script, failed in it."""
        self.jobs = Jobs(self.sides["three"], self.expected["three"], RETRY)
        self.pauses = Pauses()
        self.version = 0
        """Of the script; a pause mends it."""
        self.sdk = SDK(self.config(), self.log, self.clock, self._taken)
        self.engine: InWorld | None = None
        self.faults: list[BaseException] = []

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        asyncio.set_event_loop(self.loop)
        return self.loop.run_until_complete(work)

    def config(self) -> Any:
        return parse(CONFIG.format(**self.rules), str(self.folder / "config.yaml"), {})

    @initialize()
    def start(self) -> None:
        engine = InWorld(
            data=self.folder / "data", partitions=Partitions({0: self.log}),
            runner=InProcess(split=lambda event: split(event, self.version)),
            clock=self.clock, on_fault=self.faults.append,
        )
        engine.sides, engine.expected, engine.jobs = self.sides, self.expected, self.jobs
        engine.pauses = Pauses.of(self.pauses.plain())
        for ident, side in self.sides.items():
            rules = self.rules[ident]
            side.enabled, side.batch, side.concurrency = rules.enabled == "true", rules.batch, rules.concurrency
        self.run(engine.start(self.config()))
        self.engine = engine

    # ---- what happens

    @rule(
        who=st.lists(st.sampled_from(USERS), min_size=1, max_size=12),
        again=st.booleans(), all_=st.sampled_from([True, True, True, False]),
    )
    def send(self, who: list[str], again: bool, all_: bool) -> None:
        """A request with events of some users; sometimes it is sent twice, as SDKs do."""
        events = []
        for user in who:
            n = self.count[user]
            self.count[user] += 1
            events.append({"type": "track", "event": "Step", "messageId": f"{user}-{n}", "userId": user,
                           "integrations": {"All": all_}, "properties": {"n": n}})
        self.run(self.sdk.send(events, 2 if again else 1))

    def _taken(self, events: list[dict[str, Any]]) -> None:
        for event in events:
            self.serial += 1
            for ident in self.sides:
                self._expect(ident, event["userId"], event["properties"]["n"], event["integrations"]["All"])

    def _expect(self, ident: str, user: str, n: int, all_: bool) -> None:
        parts, tally = 1, self.tally[ident]
        if not all_:
            parts = 0
            tally["filtered"] += 1
        elif ident == "two":
            parts = {5: 0, 4: 0, 3: 2}.get(n % 6, 1)
            tally["filtered"] += n % 6 == 5
            tally["dead"] += n % 6 == 4
            tally["born"] += n % 6 == 3
        self.expected[ident][user].append((n, self.serial, parts))

    @rule(
        ident=IDENTS,
        mood=st.sampled_from(["ok", "ok", "picky", "itemised", "down", "throttled", "locked", "gone"]),
    )
    def mood(self, ident: str, mood: str) -> None:
        """A destination begins to answer otherwise."""
        self.sides[ident].mood = mood

    @rule(ident=IDENTS, users=st.sets(st.sampled_from(USERS), max_size=2))
    def users_fail(self, ident: str, users: set[str]) -> None:
        """Events of these users fail, for now."""
        self.sides[ident].bad = users

    @rule(ident=IDENTS, latency=st.sampled_from([0.0, 0.01, 0.4, 9.0]))
    def slow(self, ident: str, latency: float) -> None:
        """Answers take longer, or longer than the timeout."""
        self.sides[ident].latency = latency

    @rule(seconds=st.sampled_from([0.0, 0.02, 0.15, 1.0, 5.0, 40.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.run(asyncio.sleep(seconds))

    @rule(seconds=st.sampled_from([70.0, 600.0, 4_000.0]))
    def sleep(self, seconds: float) -> None:
        """The machine was suspended: the clock jumps, and the timers are late."""
        self.clock.advance(seconds)
        self.run(asyncio.sleep(0.01))

    @rule(hours=st.sampled_from([-30, -1, 1, 30]))
    def jump(self, hours: int) -> None:
        """Someone sets the wall clock; the time that passes is the same."""
        self.clock.set_wall(self.clock.now() + timedelta(hours=hours))

    @rule(
        ident=IDENTS, enabled=st.booleans(), batch=st.sampled_from([1, 2, 5]),
        concurrency=st.integers(1, 6),
    )
    def reload(self, ident: str, enabled: bool, batch: int, concurrency: int) -> None:
        """Another config, between two requests."""
        rules = self.rules[ident]
        rules.enabled, rules.batch, rules.concurrency = str(enabled).lower(), batch, concurrency
        self._reload()

    @rule(ident=IDENTS, order=st.sampled_from(["user", "none"]))
    def reorder(self, ident: str, order: str) -> None:
        """Order is given up, or promised again for what comes from now on."""
        rules, side = self.rules[ident], self.sides[ident]
        if order != rules.order:
            rules.order, side.ordered, side.since = order, order == "user", self.serial + 1
            self._reload()

    @rule(what=st.sampled_from(PAUSABLE))
    def pause(self, what: tuple[Kind, str]) -> None:
        """A person pauses something; a script, to mend it."""
        if self.pauses.find(*what) is None and what[0] == "transformation":
            self.version += 1
        self._hold(self.pauses.added(Pause(*what, "2026-11-18T11:00:00.000Z", "ann")))

    @rule(what=st.sampled_from(PAUSABLE))
    def resume(self, what: tuple[Kind, str]) -> None:
        """And lets it go on, or asks to try at once what its tool holds back."""
        assert self.engine is not None
        kind, name = what
        two, mended = self.engine.couriers["two"], what == PAUSABLE[3] and self.pauses.find(*what) is not None
        if mended and not two.sending:
            kept = (self.engine.ledger.payload(row) for row in two.chains.rows() if row.kind != "waiting")
            found = [json.loads(one[0]) for one in kept if one is not None]
            self.sides["two"].kept = frozenset(
                (event["userId"], event["properties"]["n"], event["properties"]["child"]) for event in found
            )
            self.sides["two"].anew = self.version
        self._hold(self.pauses.removed(kind, name))
        if kind == "source":
            self.run(self.sdk.flush())
            return
        said = self.run(verbs.call(self.engine, f"{kind}.resume", {kind: name}))
        if kind == "destination":
            assert bool(said["still"]) == (self._paused(name) or self.rules[name].enabled == "false"), said

    @rule(
        what=st.sampled_from(PAUSABLE), who=st.lists(st.sampled_from(USERS), min_size=1, max_size=12),
        before=st.sampled_from([0.0, 0.02, 2.0]), seconds=st.sampled_from([0.15, 5.0, 400.0]), ends=st.booleans(),
    )
    def pause_at_work(self, what: tuple[Kind, str], who: list[str], before: float, seconds: float, ends: bool) -> None:
        """A pause while there is something to send, and it lasts."""
        self.send(who, again=False, all_=True)
        self.run(asyncio.sleep(before))
        self.pause(what)
        self.run(asyncio.sleep(seconds))
        if ends:
            self.resume(what)

    def _hold(self, pauses: Pauses) -> None:
        """As the app tells the roles."""
        assert self.engine is not None
        self.pauses = pauses
        self.sdk.hold(pauses)
        for ident, side in self.sides.items():
            side.paused = side.paused and self._paused(ident)
        self.run(self._told(pauses))
        for ident, side in self.sides.items():
            side.older = frozenset(t for t in (*side.older, *self.engine.couriers[ident]._tasks) if not t.done())
            side.paused = self._paused(ident)

    async def _told(self, pauses: Pauses) -> None:
        assert self.engine is not None
        self.engine.hold(Pauses.of(pauses.plain()))

    def _paused(self, ident: str) -> bool:
        script = self.pauses.find("transformation", "split") if ident == "two" else None
        return bool(script or self.pauses.find("destination", ident))

    def _reload(self) -> None:
        assert self.engine is not None
        self.run(self.engine.prepare(self.config()))
        swapping = self.loop.create_future()
        for side in self.sides.values():
            side.older = frozenset({swapping})
        self.run(self.engine.commit())
        for ident, side in self.sides.items():
            rules = self.rules[ident]
            side.enabled, side.batch, side.concurrency = rules.enabled == "true", rules.batch, rules.concurrency
            side.older = frozenset(self.engine.couriers[ident]._tasks)

    @precondition(lambda self: self.engine is not None)
    @rule()
    def crash(self) -> None:
        """SIGKILL: what was not committed is gone, answers in flight are heard by no one."""
        assert self.engine is not None
        engine, self.engine = self.engine, None
        for side in self.sides.values():
            side.life += 1
            side.flying.clear()
        self._abandon(engine)
        self.start()

    @rule()
    def restart(self) -> None:
        """A clean stop and start."""
        assert self.engine is not None
        self.run(self.engine.drain(20.0))
        for side in self.sides.values():  # what its deadline cut off may come again
            if side.flying:
                side.life += 1
                side.flying.clear()
        self.start()

    def _abandon(self, engine: InWorld) -> None:
        """End a process: none of its handlers and timers does anything any more."""
        for courier in engine.couriers.values():
            courier.closed = True
        engine.readers.draining = True
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        if tasks:
            self.run(asyncio.wait(tasks))
        engine.ledger.close()
        os.close(engine.sequencer.sidecar._file)

    # ---- what must hold

    @invariant()
    def rules_are_kept(self) -> None:
        assert not self.faults, self.faults
        assert not self.sdk.wrong, self.sdk.wrong[:3]
        for ident, side in self.sides.items():
            assert not side.wrong, (ident, side.wrong[:3])

    @invariant()
    def sums_hold(self) -> None:
        if self.engine is None:
            return
        status = desk.status(self.engine)
        unique = sum(row["unique"] for row in status["sources"].values())
        for ident, row in status["destinations"].items():
            came = unique + row["born"] + row["revived"]
            went = row["delivered"] + row["filtered"] + row["dead"] + row["pending"]
            assert row["unread"] or came == went, (ident, unique, row)
            if self.rules[ident].enabled == "true" and self._paused(ident):
                assert (row["state"], row["since"]) == ("paused", "2026-11-18T11:00:00.000Z"), (ident, row)

    def teardown(self) -> None:
        try:
            if self.engine is not None:
                self._settle()
        finally:
            if self.engine is not None:
                self._abandon(self.engine)
            self.loop.close()
            for one in self.patches:
                one.stop()
            shutil.rmtree(self.folder)

    def _settle(self) -> None:
        """Everything is well again and time passes: every event has its verdict, as its last answer said."""
        assert self.engine is not None
        for ident, side in self.sides.items():
            self.rules[ident].enabled = "true"
            side.mood, side.latency = "ok", 0.01
            side.bad.clear()
        self._reload()
        self._hold(Pauses())
        self.run(self.sdk.flush())
        for _ in range(400):
            status = desk.status(self.engine)
            read = sum(row["unique"] for row in status["sources"].values()) == self.serial
            if read and all(row["pending"] == row["unread"] == 0 for row in status["destinations"].values()):
                break
            self.run(asyncio.sleep(20.0))
        self.run(asyncio.sleep(0.5))
        self.rules_are_kept()
        self.sums_hold()
        status = desk.status(self.engine)
        assert sum(row["unique"] for row in status["sources"].values()) == self.serial
        for ident, side in self.sides.items():
            self._compare(ident, side, status["destinations"][ident])

    def _compare(self, ident: str, side: Side, row: dict[str, Any]) -> None:
        delivered, died = 0, self.tally[ident]["dead"]
        for user, events in self.expected[ident].items():
            for n, _, parts in events:
                for child in range(parts):
                    tries = side.tried.get((user, n, child))
                    assert tries, f"{ident} never got {(user, n, child)}: {row}"
                    if tries[-1].final:
                        delivered += tries[-1].status == 200
                        died += tries[-1].status != 200
                    else:
                        died += 1
                        assert self.clock.monotonic() - tries[0].at >= RETRY, (ident, user, n, child, tries)
        wanted = {"delivered": delivered, "dead": died, "pending": 0, "unread": 0,
                  "filtered": self.tally[ident]["filtered"], "born": self.tally[ident]["born"]}
        assert {name: row[name] for name in wanted} == wanted, ident


EngineModel.TestCase.settings = settings(
    max_examples=EXAMPLES, stateful_step_count=30, deadline=None, database=None, print_blob=True,
    phases=[Phase.generate],  # a failing run is short enough to read, and shrinking one takes minutes
)
TestEngine = EngineModel.TestCase
