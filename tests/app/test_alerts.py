"""When an alert begins and when it is over; what the channels are sent, and what their trouble costs."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.plane import Plane, turnout
from bench.sink import Sink
from dataplane.app import channel as channels
from dataplane.app.alert_state import AlertState, read, write
from dataplane.app.alerting import Alerting
from dataplane.config import parse
from dataplane.config.model import ALERTS, Alerts
from dataplane.inspect.alerts import Alert, Memory, Standing, changes
from dataplane.inspect.disk import disk
from tests.app.test_app_run import MARK, config, post, until
from turnout.errors import FormatError
from turnout.testing import Recorder

HOLD = 30.0
LIMITS = Alerts()


def status(**changed: Any) -> dict[str, Any]:
    role = {"crash_loop": False, "last_exit": "SIGKILL"}
    log = {"open": True, "full": False, "reason": ""}
    destinations = {"crm": {"state": "running", "reason": "", "dead": 0}}
    return {"roles": {"pipeline": role}, "log": log, "destinations": destinations, **changed}


def crm(**changed: Any) -> dict[str, Any]:
    return status(destinations={"crm": {"state": "running", "reason": "", "dead": 0, **changed}})


def play(*looks: tuple[float, dict[str, Any]]) -> list[tuple[float, str, str, str]]:
    memory, told = Memory(), []
    for now, seen in looks:
        memory, new = changes(memory, seen, LIMITS, now)
        told += [(now, one.kind, one.subject, one.state) for one in new]
    return told


BAD: dict[str, dict[str, Any]] = {
    "crash_loop": status(roles={"pipeline": {"crash_loop": True, "last_exit": "SIGKILL"}}),
    "log_closed": status(log={"open": False, "full": False, "reason": "fsync: I/O error"}),
    "log_full": status(log={"open": True, "full": True, "reason": "no space"}),
    "destination_paused": crm(state="paused", reason="HTTP 401"),
    "destination_down": crm(state="down", reason="answers nothing"),
    "backlog": crm(backlog={"share": 0.8}),
    "disk": status(disk={"share": 0.81}),
    "state": status(state_stuck=True),
    "script": status(transformations={"benched": ["mark"]}),
}


BLIND: dict[str, Any] = {
    "roles": {}, "stale": {"pipeline": "then"},
    "destinations": {"crm": {"state": "unknown", "reason": "", "dead": 10_000, "backlog": {"share": 0.9}}},
    "state_stuck": True, "buffer": {"share": 0.9}, "stopping_intake": {"crm": "full"},
}  # fmt: skip
"""While no pipeline process answers."""


def test_a_stopped_script_is_more_than_one_that_was_killed() -> None:
    row = {"since": "then", "reason": "its worker was killed 5 times in a row", "next_probe_at": "soon"}
    seen = status(transformations={"benched": ["mark"], "stopped": {"mark": row}})
    memory, _ = changes(Memory(), seen, LIMITS, 100.0)
    (alert,) = changes(memory, seen, LIMITS, 131.0)[1]
    assert (alert.kind, alert.subject, alert.state) == ("script", "mark", "firing")
    assert alert.summary == (
        "the transformation mark is stopped, its destinations wait: its worker was killed 5 times in a row"
    )


@pytest.mark.parametrize("kind", BAD)
def test_each_kind_is_told_once_and_once_when_it_is_over(kind: str) -> None:
    looks = [(t, BAD[kind]) for t in (100.0, 105.0, 131.0, 200.0)]
    looks += [(t, status(disk={"share": 0.1})) for t in (205.0, 210.0, 236.0, 300.0)]
    told = play(*looks)
    assert [(one[1], one[3]) for one in told] == [(kind, "firing"), (kind, "resolved")]
    assert told[0][0] in (100.0, 131.0)
    assert told[1][0] == 236.0


def test_every_kind_is_tested() -> None:
    assert {*BAD, "dead_letters"} == set(ALERTS)


def test_what_comes_and_goes_within_the_hold_is_not_told() -> None:
    down, good = BAD["destination_down"], status()
    assert play(*((t, down if t % 40 < 20 else good) for t in range(0, 400, 5))) == []


def test_what_flaps_while_it_stands_is_not_told_again() -> None:
    down, good = BAD["destination_down"], status()
    told = play(*((float(t), down if t < 60 or t % 40 < 20 else good) for t in range(0, 400, 5)))
    assert [one[3] for one in told] == ["firing"]


def test_a_share_must_fall_well_below_its_threshold() -> None:
    shares = [(0.0, 0.85), (31.0, 0.85), (40.0, 0.75), (200.0, 0.75), (210.0, 0.71), (250.0, 0.71)]
    told = play(*((t, status(disk={"share": share})) for t, share in shares))
    assert [(one[0], one[3]) for one in told] == [(31.0, "firing"), (250.0, "resolved")]


def test_dead_letters_are_counted_over_a_minute() -> None:
    dead = [(float(t), crm(dead=min(t // 5, 24))) for t in range(0, 400, 5)]  # 12 a minute, for two minutes
    told = play(*dead)
    assert [one[1::2] for one in told] == [("dead_letters", "firing"), ("dead_letters", "resolved")]
    assert told[0][0] == 60 + HOLD  # there is no rate before there is a minute
    few = [(float(t), crm(dead=t // 10)) for t in range(0, 400, 5)]  # 6 a minute
    assert play(*few) == []


def test_what_cannot_be_seen_neither_begins_nor_ends_anything() -> None:
    looks = [(0.0, BAD["destination_down"]), (31.0, BAD["destination_down"])]
    looks += [(float(t), BLIND) for t in range(40, 400, 5)]
    assert [one[3] for one in play(*looks)] == ["firing"]
    assert play((0.0, BLIND), (500.0, BLIND)) == []
    part = {**crm(dead=None), "stale": {"pipeline-1": None}}
    assert play(*((float(t), part) for t in range(0, 200, 5)), (205.0, crm(dead=10_000))) == [], "no rate is known"


@pytest.mark.parametrize("kind", ["backlog", "destination_down", "destination_paused"])
def test_what_is_about_a_removed_destination_is_over_at_once(kind: str) -> None:
    looks = [(0.0, BAD[kind]), (31.0, BAD[kind]), *((float(t), status(destinations={})) for t in (36, 41))]
    told = play(*looks)
    assert [(one[1], one[3]) for one in told] == [(kind, "firing"), (kind, "resolved")]
    assert told[1][0] == 36.0
    assert play((0.0, BAD["destination_down"]), (5.0, status(destinations={})), (99.0, status())) == []


@pytest.mark.parametrize("kind", ALERTS)
def test_the_end_of_an_alert_says_how_it_is_now(kind: str) -> None:
    key = (kind, "crm" if kind in ("backlog", "dead_letters") or "destination" in kind else "it")
    memory = Memory({key: Standing("crm is down: HTTP 503", 10.0, told=True, gone=20.0)}, ((30.0, {"crm": 0}),))
    (over,) = changes(memory, status(), LIMITS, 100.0)[1]
    assert (over.kind, over.subject, over.state, over.since) == (*key, "resolved", 10.0)
    assert key[1] in over.summary
    assert "again" in over.summary or "no longer" in over.summary or "any more" in over.summary
    assert "HTTP 503" not in over.summary


def test_a_restart_does_not_repeat_what_was_told(tmp_path: Path) -> None:
    memory, told = changes(Memory(), BAD["destination_paused"], LIMITS, 100.0)
    assert len(told) == 1
    write(tmp_path / "a.json", AlertState(memory, {"ops": told}).packed())
    found = read(tmp_path / "a.json")
    assert found.outbox == {"ops": told}
    memory, again = changes(found.memory, BAD["destination_paused"], LIMITS, 200.0)
    assert again == []
    memory, _ = changes(memory, status(), LIMITS, 205.0)
    memory, over = changes(memory, status(), LIMITS, 240.0)
    assert [one.state for one in over] == ["resolved"]
    assert over[0].id == told[0].id


def test_a_damaged_file_starts_anew_and_a_newer_one_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "alerts.json"
    assert read(file) == AlertState()
    for text in ("", "{", '{"version": 1}', '{"version": 1, "standing": [3], "outbox": {}}'):
        file.write_text(text)
        assert read(file) == AlertState()
    file.write_text('{"version": 2, "else": []}')
    with pytest.raises(FormatError, match="newer"):
        read(file)


@given(st.lists(st.tuples(st.sampled_from([*BAD, "", "blind"]), st.floats(0.5, 40)), max_size=40))
def test_beginnings_and_ends_alternate(steps: list[tuple[str, float]]) -> None:
    now, memory = 0.0, Memory()
    open_now: dict[tuple[str, str], str] = {}
    for name, wait in steps:
        now += wait
        seen = BLIND if name == "blind" else BAD.get(name, status())
        memory, told = changes(memory, seen, LIMITS, now)
        for one in told:
            key = (one.kind, one.subject)
            if one.state == "firing":
                assert key not in open_now
                open_now[key] = one.id
            else:
                assert open_now.pop(key) == one.id
    assert open_now.keys() == {key for key, one in memory.standing.items() if one.told}


@pytest.mark.parametrize(("buffer", "told"), [
    ({"share": 0.8, "full_in": None}, "fill 80% of the log"),
    ({"share": 0.1, "full_in": 14_000}, "in about 4 h"),
    ({"share": 0.1, "full_in": 600}, "in about 10 min"),
    ({"share": 0.79, "full_in": 15_000}, ""),
])
def test_undelivered_events_that_fill_the_log(buffer: dict[str, Any], told: str) -> None:
    memory, _ = changes(Memory(), status(buffer=buffer), LIMITS, 0.0)
    _, new = changes(memory, status(buffer=buffer), LIMITS, HOLD)
    assert [told in one.summary for one in new] == ([True] if told else [])


def test_a_backlog_that_stops_the_intake() -> None:
    stopped = status(stopping_intake={"crm": "the backlog of crm is full"})
    assert play((0.0, stopped), (HOLD, stopped)) == [(HOLD, "log_full", "crm", "firing")]


def test_how_full_the_disk_is(tmp_path: Path) -> None:
    found = disk(tmp_path, 0)
    assert 0 < found["free"] <= found["total"]
    assert 0 <= found["share"] <= 1
    assert disk(tmp_path, 1 << 62)["share"] == 1.0
    assert disk(tmp_path / "none", 0) == {}


# ---- channels

ALERT = Alert("destination_down", "crm", "firing", "crm is down: <b> & so on", 1_700_000_000.0, 1_700_000_031.5)


def channel(kind: str, url: str, **more: Any) -> Any:
    text = json.dumps({"alerts": {"channels": {"ops": {"type": kind, "url": url, **more}}}})
    return parse(text, "/c/config.yaml", {}).alerts.channels["ops"]


def test_the_webhooks_body() -> None:
    sent = channels.request(channel("webhook", "https://a.example/x", headers={"X-Key": "k"}), ALERT)
    assert (sent.method, sent.url, sent.headers) == ("POST", "https://a.example/x", {"X-Key": "k"})
    assert sent.body is not None
    body = json.loads(sent.body.encode()[0])
    assert body.pop("host")
    assert body.pop("turnout")
    assert body == {
        "version": 1, "id": "destination_down:crm:1700000000000", "kind": "destination_down", "subject": "crm",
        "state": "firing", "summary": "crm is down: <b> & so on",
        "since": "2023-11-14T22:13:20.000Z", "at": "2023-11-14T22:13:51.500Z",
    }


def test_slacks_body_has_text_with_its_control_characters_escaped() -> None:
    body = channels.request(channel("slack", "https://hooks.slack.example/T/B/x"), ALERT).body
    assert body is not None
    said = json.loads(body.encode()[0])
    assert set(said) == {"text"}
    assert "crm is down: &lt;b&gt; &amp; so on" in said["text"]


@pytest.mark.parametrize("url", ["ftp://a.example/", "a.example", "https://", "https://a b/"])
def test_no_address_is_said_without_quoting_it(url: str) -> None:
    with pytest.raises(Exception, match="must be an https or http address") as found:
        channel("slack", url)
    assert url not in str(found.value)


def made(tmp_path: Path, channel_text: str, seen: list[dict[str, Any]], private: bool = True) -> Alerting:
    text = f"egress: {{allow_private: {str(private).lower()}}}\nalerts: {{hold: 0, channels: {{{channel_text}}}}}\n"
    found = parse(text, str(tmp_path / "config.yaml"), {})

    async def look() -> dict[str, Any]:
        return seen[-1]

    (tmp_path / "state").mkdir(exist_ok=True)
    return Alerting(look, lambda: found)


async def wait(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.01)


async def test_an_alert_reaches_those_who_want_it_and_survives_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dataplane.app.alerting.EVERY", 0.02)
    seen = [BAD["destination_down"]]
    with Recorder() as recorder:
        two = (f'ops: {{type: slack, url: "{recorder.url}slack"}},'
               f' night: {{type: webhook, url: "{recorder.url}night", only: [log_closed]}}')
        alerting = made(tmp_path, two, seen)
        alerting.start(tmp_path)
        await wait(lambda: len(recorder.received) == 1)
        await wait(lambda: ["turnout_alerts_total", ["ops", "sent"], 1] in alerting.samples())
        await alerting.stop()
        alerting = made(tmp_path, two, seen)
        alerting.start(tmp_path)
        assert alerting.describe()["active"][0]["subject"] == "crm"
        seen.append(status())
        await wait(lambda: len(recorder.received) == 2)
        await wait(lambda: not alerting.describe()["active"])
        await alerting.stop()
        assert [one.path for one in recorder.received] == ["/slack", "/slack"]
        assert "over" in recorder.received[1].json()["text"]


async def test_a_channel_that_fails_is_tried_again_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dataplane.app.alerting.EVERY", 0.02)
    monkeypatch.setattr("dataplane.app.alerting.delay", lambda *_: 0.2)
    with Recorder() as recorder:
        recorder.answer(503)
        alerting = made(tmp_path, f'ops: {{type: webhook, url: "{recorder.url}"}}', [BAD["state"]])
        alerting.start(tmp_path)
        await wait(lambda: alerting.describe()["failing"] == {"ops": "HTTP 503"})
        assert alerting.describe()["waiting"] == {"ops": 1}
        await wait(lambda: not alerting.describe()["waiting"])
        assert alerting.describe()["failing"] == {}
        assert len(recorder.received) == 2
        await alerting.stop()


async def test_no_redirect_and_no_private_address(tmp_path: Path) -> None:
    with Recorder() as recorder:
        recorder.answer(302, Location=f"{recorder.url}elsewhere")
        alerting = made(tmp_path, f'ops: {{type: webhook, url: "{recorder.url}"}}', [status()])
        (answer,) = await alerting.test()
        assert (answer["ok"], answer["status"]) == (False, 302)
        await alerting.stop()
        guarded = made(tmp_path, f'ops: {{type: webhook, url: "{recorder.url}"}}', [status()], private=False)
        (answer,) = await guarded.test("ops")
        assert "private address" in answer["error"]
        await guarded.stop()
        assert len(recorder.received) == 1


def test_a_waiting_alert_outlives_its_channels_trouble_only_so_long(tmp_path: Path) -> None:
    alerting = made(tmp_path, 'ops: {type: webhook, url: "http://127.0.0.1:9/"}', [status()])
    for number in range(150):
        alerting._put("ops", Alert("disk", "log", "firing", str(number), 0.0, 0.0))
    assert alerting.describe()["waiting"] == {"ops": 100}
    assert ["turnout_alerts_total", ["ops", "dropped"], 50] in alerting.samples()


def test_standing_alerts_are_kept_when_the_file_cannot_be_written(tmp_path: Path) -> None:
    packed = AlertState(Memory({("disk", "log"): Standing("full", 1.0, told=True)}), {}).packed()
    with pytest.raises(OSError, match="Not a directory"):
        write(Path("/dev/null/alerts.json"), packed)


def test_alerts_of_a_running_plane(data_plane: Callable[..., Plane], sink: Sink) -> None:
    with Recorder() as recorder:
        extra = f'alerts: {{hold: 0s, channels: {{ops: {{type: webhook, url: "{recorder.url}"}}}}}}\n'
        text = config(sink, extra)
        plane = data_plane(text, {"mark.py": MARK})

        def cli(*words: str) -> subprocess.CompletedProcess[str]:
            command = [turnout(), "alerts", *words, "--config", str(plane.config)]
            return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

        assert cli("list").stdout == "no alert stands\n"
        tested = cli("test", "--channel", "ops")
        assert (tested.returncode, tested.stdout) == (0, "ops: taken: HTTP 200\n")
        assert recorder.received[0].json()["state"] == "test"
        assert "no alert channel is called nobody" in cli("test", "--channel", "nobody").stderr
        recorder.answer(404, body="no such channel")
        assert cli("test").stdout == "ops: NOT taken: HTTP 404 no such channel\n"
        with Recorder() as tool:
            tool.answer(401)
            plane.config.write_text(text.replace(sink.url, tool.url.rstrip("/")))
            ran = subprocess.run([turnout(), "reload", "--config", str(plane.config)], timeout=60, check=False)
            assert ran.returncode == 0
            assert post(plane, {"event": "E"}) == 200
            until(lambda: bool(recorder.received[2:]))
            assert recorder.received[2].json()["kind"] == "destination_paused"
            assert "hook is paused" in cli("list").stdout
            assert "hook is paused" in plane.output
