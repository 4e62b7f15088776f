"""`turnout pause` and `resume` against real processes: across reloads, restarts and kills."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from test_app_run import MARK, ask, cli, config, post, until

from bench.plane import Plane
from bench.sink import Sink
from dataplane.app.orders import Orders
from dataplane.config import parse
from turnout.errors import Unavailable


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[tuple[Plane, Sink]]:
    (tmp_path / "mark.py").write_text(MARK)
    with Sink() as sink:
        started = Plane(tmp_path, config(sink)).start()
        yield started, sink
        started.stop()


def status(plane: Plane) -> dict[str, Any]:
    found: dict[str, Any] = ask(plane, "/api/v1/status")[1]
    return found


def killed(plane: Plane, role: str) -> None:
    """Kill a role's process, and wait until it works again."""
    os.kill(status(plane)["roles"][role]["pid"], signal.SIGKILL)
    until(lambda: status(plane)["roles"][role]["restarts"] == 1)
    until(lambda: status(plane)["roles"][role]["state"] == "running")


def test_a_pause_outlives_reload_kill_and_restart_and_loses_nothing(plane: tuple[Plane, Sink]) -> None:
    there, sink = plane
    said = cli(there, "pause", "destination", "hook", "--reason", "moving")
    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith("destination hook is paused (by ")
    assert said.stdout.endswith("): moving\n")
    assert "was paused already" in cli(there, "pause", "destination", "hook").stdout
    assert post(there, {"event": "Seen", "messageId": "m1"}) == 200
    assert cli(there, "reload").returncode == 0
    killed(there, "pipeline")
    until(lambda: (status(there).get("destinations") or {}).get("hook", {}).get("unread") == 1)
    found = status(there)
    assert found["destinations"]["hook"]["state"] == "paused"
    assert found["destinations"]["hook"]["reason"].endswith(": moving")
    assert found["pauses"][0]["name"] == "hook"
    assert any("hook: paused" in warning for warning in found["health"]["warnings"])
    there.stop()
    there.start()
    until(lambda: status(there)["destinations"]["hook"]["unread"] == 1)
    assert status(there)["destinations"]["hook"]["state"] == "paused"
    assert sink.events == []
    assert "moving" in cli(there, "status").stdout
    assert cli(there, "resume", "destination", "hook").stdout == "destination hook goes on\n"
    assert sink.wait(lambda s: [e["messageId"] for e in s.events] == ["m1"])
    assert cli(there, "resume", "destination", "hook").stdout == "destination hook was not paused\n"


def test_a_paused_source_gets_503_from_a_restarted_gateway_too(plane: tuple[Plane, Sink]) -> None:
    there, _ = plane
    assert json.loads(cli(there, "pause", "source", "website", "--json").stdout)["changed"] is True
    assert post(there, {"event": "Seen"}) == 503
    killed(there, "ingest")
    assert post(there, {"event": "Seen"}) == 503
    assert "website: paused" in " ".join(status(there)["health"]["warnings"])
    assert ask(there, "/api/v1/resume", body=b'{"kind": "source", "name": "website"}')[1]["changed"] is True
    assert post(there, {"event": "Seen"}) == 200


def test_wrong_names_and_kinds_are_told(plane: tuple[Plane, Sink]) -> None:
    there, _ = plane
    wrong = cli(there, "pause", "destination", "hok")
    assert (wrong.returncode, wrong.stderr) == (1, "turnout: there is no destination hok (did you mean hook?)\n")
    assert "kind is one of destination, source, transformation" in cli(there, "resume", "lane", "hook").stderr
    assert ask(there, "/api/v1/pause", body=b'{"kind": "source", "nam": 1}')[1]["code"] == "unknown_field"
    audit = (there.folder / "data" / "audit.log").read_text()
    assert '"verb":"pause","status":422' in audit


def test_a_full_backlog_stops_the_intake_and_lets_it_go_on(tmp_path: Path) -> None:
    (tmp_path / "mark.py").write_text(MARK)
    with Sink() as sink:
        text = config(sink) + "    enabled: false\n    backlog: {max_bytes: 2kB, when_full: stop_intake}\n"
        there = Plane(tmp_path, text).start()
        try:
            def taken() -> bool:
                return post(there, {"event": "Seen", "properties": {"text": "x" * 500}}) == 200

            until(lambda: not taken())
            assert "reached its bound" in " ".join(status(there)["health"]["problems"])
            killed(there, "ingest")
            assert not taken()
            there.config.write_text(text.replace("    enabled: false\n", ""))
            assert cli(there, "reload").returncode == 0
            until(taken)
        finally:
            there.stop()


async def test_a_pause_that_cannot_be_stored_is_refused_with_the_reason(tmp_path: Path) -> None:
    config = parse(f"data: {tmp_path}/data\nsources: {{web: {{write_key: k}}}}\n", str(tmp_path / "config.yaml"), {})
    orders = Orders({})
    (tmp_path / "data" / "state").mkdir(parents=True)
    orders.open(config)
    (tmp_path / "data" / "state").rmdir()  # as a disk that takes nothing
    with pytest.raises(Unavailable, match="nothing was changed"):
        await orders.pause(config, "source", "web", by="ann", reason="")
    assert not orders.plain("ingest")["pauses"]


class Process:
    """A pipeline process as the orders see it."""

    def __init__(self, name: str, found: dict[str, Any]) -> None:
        self.name, self.running, self.found = name, True, found
        self.told: dict[str, Any] = {}
        self.idle: dict[str, Any] = {}
        self.delivered = 0
        self.well: list[str] = []

    async def ask(self, verb: str, args: dict[str, Any] | None = None, *, timeout: float = 30.0) -> Any:
        if verb == "intake":
            return {"stopping": {}, "found": self.found, "idle": self.idle, "delivered": {"hook": self.delivered}}
        if verb == "destination.well":
            self.well.append(str((args or {})["destination"]))
            self.idle.pop("hook")
            return {"changed": True}
        self.told = dict(args or {})
        return None


async def test_a_process_that_is_away_for_long_probes_for_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dataplane.app.orders.LOOK", 0.01)
    monkeypatch.setattr("dataplane.app.orders.AWAY", 0.3)
    one, other = Process("pipeline", {}), Process("pipeline-1", {"hook": ["down", "its requests fail", None]})
    orders = Orders({"pipeline": one, "pipeline-1": other})  # type: ignore[dict-item]
    watching = asyncio.create_task(orders.watch())

    async def told(hook: bool) -> None:
        async with asyncio.timeout(60):
            while ("hook" in one.told.get("found", {})) is not hook:
                await asyncio.sleep(0.01)

    try:
        await told(True)
        other.running = False  # it dies, and dies again whenever it is started
        await told(False)
        other.running = True
        await told(True)
    finally:
        watching.cancel()


async def test_one_that_a_tool_refuses_and_that_has_nothing_to_ask_with_is_told_that_others_deliver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its next event would hold all the others, until its probe is due: up to a quarter of an hour."""
    monkeypatch.setattr("dataplane.app.orders.LOOK", 0.01)
    one, other = Process("pipeline", {}), Process("pipeline-1", {})
    refused = ["forbidden", "HTTP 403 for three or more users", 5.0, 900.0]
    orders = Orders({"pipeline": one, "pipeline-1": other})  # type: ignore[dict-item]
    one.delivered, other.delivered = 7, 100
    watching = asyncio.create_task(orders.watch())

    async def until(test: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not test():
                await asyncio.sleep(0.01)

    try:
        other.idle = {"hook": refused}
        await until(lambda: one.told.get("left") == {"hook": refused})
        other.delivered += 1  # its own: what landed before it was refused
        other.found = {"hook": ["paused", "x", None]}
        await until(lambda: one.told.get("left") == {} and "hook" in one.told["found"])
        other.found = {}
        await until(lambda: one.told.get("left") == {"hook": refused})
        assert other.well == []
        one.delivered += 1
        await until(lambda: other.well == ["hook"])
        await until(lambda: one.told.get("left") == {})
        assert one.well == []
    finally:
        watching.cancel()
