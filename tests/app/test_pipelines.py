"""Several pipeline processes: one order, one rate, one token, one answer, and each may die alone."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
import xxhash

from bench.plane import NotReady, Plane
from bench.sink import Sink
from dataplane.deliver.moving import SPAN
from dataplane.deliver.state import Changes, ExceptionRow, State
from tests.app.test_app_run import until
from tests.app.test_partitions import metrics, post
from tests.cli.test_dead_commands import cli

CONFIG = """\
server: {{port: 0}}
admin: {{port: 0}}
egress: {{allow_private: true}}
processes: {{ingest: {ingest}, pipeline: {pipeline}}}
sources:
  website: {{write_key: wk_test}}
destinations:
  hook:
    type: webhook
    enabled: {enabled}
    settings: {{webhook_url: "{url}/hook"}}
    delivery: {{concurrency: 32{delivery}}}
{extra}
"""


def config(
    sink: Sink, pipeline: int, *, ingest: int = 1, enabled: bool = True, delivery: str = "", extra: str = ""
) -> str:
    return CONFIG.format(
        url=sink.url, pipeline=pipeline, ingest=ingest, enabled=str(enabled).lower(), delivery=delivery, extra=extra
    )


class Moody(Sink):
    """Answers `status` to what is sent to /hook; `users` are answered with theirs whatever it is."""

    status = 200

    def __init__(self) -> None:
        super().__init__(self._say)
        self.users: dict[str, int] = {}
        self.got: list[tuple[str, str, int]] = []

    def _say(self, path: str, body: bytes) -> int:
        event = json.loads(body)
        status = self.users.get(event["userId"], self.status)
        self.got.append((event["userId"], event["messageId"], status))
        return status

    def delivered(self) -> dict[str, list[str]]:
        """First arrivals that were taken, in order, by user."""
        found: dict[str, list[str]] = {}
        for user, ident, status in list(self.got):
            if status == 200 and ident not in found.setdefault(user, []):
                found[user].append(ident)
        return found


@pytest.fixture
def moody() -> Iterator[Moody]:
    with Moody() as running:
        yield running


def hook(plane: Plane) -> dict[str, Any]:
    found: dict[str, Any] = plane.status()["destinations"]["hook"]
    return found


def well(plane: Plane) -> bool:
    return bool(plane.status()["health"]["ok"])


def spread(plane: Plane, count: int, *, users: int = 24, start: int = 0) -> dict[str, list[str]]:
    """Events of many users, acknowledged one after another; by user in order."""
    sent: dict[str, list[str]] = {}
    for n in range(start, start + count):
        assert post(plane, {"messageId": f"m{n}", "userId": f"u{n % users}"}) == 200
        sent.setdefault(f"u{n % users}", []).append(f"m{n}")
    return sent


def counted(plane: Plane) -> list[float]:
    """Counters of what was delivered and of the requests, as they are scraped."""
    events, requests = 'turnout_events_total{destination="hook",verdict="delivered"}', "turnout_requests_total{"
    lines = metrics(plane).splitlines()
    return [sum(float(line.split()[-1]) for line in lines if line.startswith(name)) for name in (events, requests)]


def told(plane: Plane, *words: str) -> Any:
    code, out, err = cli(plane, *words, "--json")
    assert code == 0, err
    lines = [json.loads(line) for line in out.splitlines()]
    return lines[0] if len(lines) == 1 else lines


def test_each_event_is_delivered_once_in_the_order_of_its_user_and_sums_are_those_of_all(
    moody: Moody, planes: Callable[[str], Plane]
) -> None:
    plane = planes(config(moody, 3, ingest=2)).start()
    sent = spread(plane, 120)
    spread(plane, 24)  # again: duplicates, whichever process has them
    until(lambda: moody.delivered() == sent and hook(plane)["delivered"] == 120)
    until(lambda: plane.status()["sources"]["website"]["duplicate"] == 24)
    assert len(moody.got) == 120
    status = plane.status()
    assert status["health"]["ok"], status["health"]
    assert set(status["roles"]) == {"ingest", "ingest-1", "pipeline", "pipeline-1", "pipeline-2"}
    assert status["sources"]["website"] == {"unique": 120, "duplicate": 24, "refused": 0}
    assert hook(plane)["pending"] == hook(plane)["unread"] == 0
    text = metrics(plane)
    assert 'turnout_events_total{destination="hook",verdict="delivered"} 120.0' in text
    assert 'turnout_destination_state{destination="hook",state="running"} 1.0' in text
    assert 'turnout_sequence_events_total{result="unique",source="website"} 120.0' in text or (
        'turnout_sequence_events_total{source="website",result="unique"} 120.0' in text
    )
    for role in ("pipeline", "pipeline-1", "pipeline-2"):
        assert f'turnout_role_up{{role="{role}"}} 1.0' in text


def test_a_process_that_dies_comes_back_alone_and_the_others_go_on(
    moody: Moody, planes: Callable[[str], Plane]
) -> None:
    plane = planes(config(moody, 2)).start()
    sent = spread(plane, 48)
    until(lambda: moody.delivered() == sent and hook(plane)["delivered"] == 48)
    before = plane.status()["roles"]
    for victim, other in (("pipeline-1", "pipeline"), ("pipeline", "pipeline-1")):
        count, total = hook(plane)["delivered"], counted(plane)
        os.kill(before[victim]["pid"], signal.SIGKILL)
        assert (hook(plane)["delivered"], counted(plane)) == (count, total), "what was done stays counted"
        more = spread(plane, 48, start=48 * (1 + len(sent["u0"])))
        sent = {user: [*idents, *more[user]] for user, idents in sent.items()}
        until(lambda wanted=sent: moody.delivered() == wanted)  # type: ignore[misc]
        until(lambda name=victim: plane.status()["roles"][name]["restarts"] == 1)  # type: ignore[misc]
        until(lambda: hook(plane)["delivered"] == sum(map(len, sent.values())))  # noqa: B023 -- asked at once
        assert counted(plane)[1] >= total[1] + 48, "requests of the life before stay counted"
        assert plane.status()["roles"][other]["pid"] == before[other]["pid"] or other == "pipeline"
        before = plane.status()["roles"]
    until(lambda: hook(plane)["delivered"] == 144)


@pytest.mark.slow
def test_from_one_to_three_and_back_with_a_backlog_every_rule_holds(
    moody: Moody, planes: Callable[[str], Plane]
) -> None:
    """Some users' events are put aside, some die, the destination is paused by hand: and every start has another
    number of processes, after a stop or after a power cut."""
    moody.users = {"u1": 503, "u2": 503, "u3": 503, "u4": 422, "u5": 422, "u6": 422}
    plane = planes(config(moody, 1)).start()
    sent = spread(plane, 48)
    until(lambda: hook(plane)["dead"] == 6 and hook(plane)["retrying"] + hook(plane)["waiting"] == 6)
    until(lambda: told(plane, "dead", "summary")["total"] == 6)
    assert cli(plane, "pause", "destination", "hook")[0] == 0
    backlog = spread(plane, 48, start=1000)
    sent = {user: [*idents, *backlog[user]] for user, idents in sent.items()}
    letters = {row["message_id"] for row in told(plane, "dead", "list")["dead"]}
    for step, pipeline in enumerate((3, 2, 1, 3)):
        plane.kill() if step % 2 else plane.stop()
        plane.config.write_text(config(moody, pipeline))
        plane.start()
        row = hook(plane)
        assert row["state"] == "paused"
        assert row["retrying"] + row["waiting"] == 6, row
        assert row["unread"] + row["pending"] >= 54
        assert row["dead"] == 6
        assert {row["message_id"] for row in told(plane, "dead", "list")["dead"]} == letters
        more = spread(plane, 24, start=2000 + 24 * step)
        sent = {user: [*idents, *more[user]] for user, idents in sent.items()}
    moody.users = {}
    assert cli(plane, "resume", "destination", "hook")[0] == 0
    dead = {f"u{n}": idents[:2] for n, idents in ((n, sent[f"u{n}"]) for n in (4, 5, 6))}
    alive = {user: [one for one in idents if one not in dead.get(user, ())] for user, idents in sent.items()}
    until(lambda: moody.delivered() == alive)
    row = hook(plane)
    assert told(plane, "dead", "retry", "--all")["retried"] == 6
    until(lambda: sorted(map(sorted, moody.delivered().values())) == sorted(map(sorted, sent.values())))
    until(lambda: hook(plane)["unread"] == hook(plane)["pending"] == 0)
    row, source = hook(plane), plane.status()["sources"]["website"]
    assert source["unique"] == row["delivered"] + row["dead"] - row["revived"] == sum(map(len, sent.values()))


def test_the_command_line_sees_one_data_plane(moody: Moody, planes: Callable[[str], Plane]) -> None:
    moody.users = {f"u{n}": 422 for n in range(0, 24, 2)}
    plane = planes(config(moody, 2)).start()
    spread(plane, 48)
    until(lambda: hook(plane)["dead"] == 24 and hook(plane)["delivered"] == 24)
    until(lambda: told(plane, "dead", "summary")["total"] == 24)  # counted first, written down a moment later
    code, shown, _ = cli(plane, "status")
    assert code == 0
    assert "pipeline-1" in shown

    letters: list[dict[str, Any]] = []
    cursor: list[str] = []
    while True:
        page = told(plane, "dead", "list", "--limit", "7", *cursor)
        letters += page["dead"]
        if page["cursor"] is None:
            break
        cursor = ["--cursor", str(page["cursor"])]
    assert len({row["id"] for row in letters}) == 24
    assert [row["at"] for row in letters] == sorted((row["at"] for row in letters), reverse=True)
    assert told(plane, "dead", "summary")["total"] == 24
    for row in (letters[0], letters[-1]):
        assert told(plane, "dead", "show", str(row["id"]))["message_id"] == row["message_id"]
        found = told(plane, "explain", row["message_id"])["destinations"]["hook"]
        assert found["verdict"] == "dead"
        assert len(found["attempts"]) == 1
        assert [one["id"] for one in found["dead"]] == [row["id"]]
    assert cli(plane, "dead", "show", "999")[0] == 1
    taken = {ident for idents in moody.delivered().values() for ident in idents}
    for ident in sorted(taken)[:4]:
        found = told(plane, "explain", ident)
        assert "mine" not in found
        assert found["destinations"]["hook"]["verdict"] == "delivered"
    exported = [json.loads(line) for line in cli(plane, "dead", "export")[1].splitlines()]
    assert sorted(row["id"] for row in exported) == sorted(row["id"] for row in letters)
    assert [row["at"] for row in exported] == [row["at"] for row in reversed(letters)]

    moody.users = {}
    ids = [str(row["id"]) for row in letters[:5]]
    assert told(plane, "dead", "retry", *ids)["retried"] == 5
    until(lambda: hook(plane)["delivered"] == 29)
    assert told(plane, "dead", "discard", "--all", "--yes")["discarded"] == 19
    assert told(plane, "dead", "summary")["total"] == 0

    before = len(moody.got)
    replay = told(plane, "replay", "--destination", "hook", "--unordered", "--yes")
    replay = replay[-1] if isinstance(replay, list) else replay
    until(lambda: told(plane, "replay", "list")["replays"][0]["delivered"] == 48)
    assert len(moody.got) == before + 48


def test_what_one_process_finds_out_of_a_tool_the_others_learn(moody: Moody, planes: Callable[[str], Plane]) -> None:
    plane = planes(config(moody, 2)).start()
    spread(plane, 24)
    until(lambda: hook(plane)["delivered"] == 24)
    moody.status = 401
    assert post(plane, {"messageId": "first", "userId": "u0"}) == 200
    until(lambda: hook(plane)["state"] == "paused")
    asked = len(moody.got)
    state = 'turnout_destination_state{destination="hook",state="running"}'
    until(lambda: f"{state} 0.0" in metrics(plane))  # of no process any more: the other one was told
    spread(plane, 24, start=100)
    until(lambda: hook(plane)["pending"] + hook(plane)["unread"] >= 24)
    time.sleep(1.0)
    assert len(moody.got) == asked, "nobody asks again what is known"
    moody.status = 200
    answer = told(plane, "resume", "destination", "hook")
    assert answer["changed"]
    assert not answer["still"]
    until(lambda: hook(plane)["delivered"] == 49)


def test_one_without_events_that_a_tool_refused_holds_nobody_once_others_deliver(
    moody: Moody, planes: Callable[[str], Plane]
) -> None:
    first = [f"u{n}" for n in range(60) if xxhash.xxh3_64_intdigest(f"u{n}".encode()) & 255 < 128]
    second = [f"u{n}" for n in range(60) if f"u{n}" not in first]
    moody.users = dict.fromkeys(first[:3], 403)
    plane = planes(config(moody, 2)).start()
    for n, user in enumerate(first[:3]):
        assert post(plane, {"messageId": f"no{n}", "userId": user}) == 200
    until(lambda: hook(plane)["dead"] == 3 and hook(plane)["state"] == "paused")
    sent = 0

    def goes_on() -> bool:
        nonlocal sent
        assert post(plane, {"messageId": f"yes{sent}", "userId": second[sent % len(second)]}) == 200
        sent += 1
        return bool(hook(plane)["state"] == "running")

    until(goes_on)
    assert post(plane, {"messageId": "late", "userId": first[5]}) == 200
    until(lambda: hook(plane)["delivered"] == sent + 1)


def reloaded(plane: Plane) -> bool:
    """Whether a reload was taken: it is refused in the moment in which a role is gone and nobody knows yet."""
    try:
        plane.ask("/reload", b"")
    except HTTPError as error:
        assert error.code == 503
        return False
    return True


def test_a_new_destination_begins_at_the_same_event_everywhere(moody: Moody, planes: Callable[[str], Plane]) -> None:
    plane = planes(config(moody, 2)).start()
    spread(plane, 24)
    until(lambda: hook(plane)["delivered"] == 24)
    os.kill(plane.status()["roles"]["pipeline-1"]["pid"], signal.SIGKILL)
    until(lambda: plane.status()["roles"]["pipeline-1"]["restarts"] == 1 or not well(plane))
    more = '  late: {type: webhook, settings: {webhook_url: "' + moody.url + '/late"}}'
    plane.config.write_text(config(moody, 2, extra=more))
    until(lambda: reloaded(plane))
    spread(plane, 24, start=100)
    until(lambda: plane.status()["destinations"]["late"]["delivered"] == 24)
    assert hook(plane)["delivered"] == 48


def test_where_one_loses_its_state_no_letter_is_called_like_one_of_another(
    moody: Moody, planes: Callable[[str], Plane]
) -> None:
    """An id that two letters have would retry or discard both."""
    moody.status = 422
    plane = planes(config(moody, 2)).start()
    spread(plane, 24)
    until(lambda: hook(plane)["dead"] == 24)
    plane.stop()
    for path in (plane.folder / "data/pipeline-1/state").glob("pipeline.db*"):
        path.unlink()
    plane.start()
    spread(plane, 24, start=100)
    until(lambda: len({row["message_id"] for row in told(plane, "dead", "list")["dead"]}) > 24)
    until(lambda: hook(plane)["pending"] == hook(plane)["unread"] == 0)
    letters = told(plane, "dead", "list")["dead"]
    assert len({row["id"] for row in letters}) == len(letters)
    moody.status = 200
    for letter in letters:
        assert told(plane, "dead", "show", str(letter["id"]))["message_id"] == letter["message_id"]
    assert told(plane, "dead", "retry", str(letters[-1]["id"]))["retried"] == 1
    plane.stop()
    plane.start()  # with what was made anew
    assert well(plane)


def test_a_start_that_one_of_them_refuses_has_changed_none(moody: Moody, planes: Callable[[str], Plane]) -> None:
    """A destination is taken out of the config while stopped, and only the second process has a backlog of it."""
    plane = planes(config(moody, 2)).start()
    sent = spread(plane, 48)
    until(lambda: hook(plane)["delivered"] == 48)
    plane.stop()
    state, changes = State(plane.folder / "data/pipeline-1/state/pipeline.db"), Changes()
    late = b'{"type": "track", "event": "Seen", "userId": "late", "messageId": "late"}'
    changes.put(ExceptionRow("hook", 1, 0, 0xF0, "tried", "website", 1, time.time()), late, None)
    state.commit(changes)
    state.close()
    before = plane.config.read_text()
    plane.config.write_text(before.replace("  hook:\n", "  other:\n"))
    with pytest.raises(NotReady, match=r"hook is gone from the config but still has a backlog.*1 put aside"):
        plane.start()
    plane.config.write_text(before)
    plane.start()
    until(lambda: moody.delivered().get("late") == ["late"])
    until(lambda: hook(plane)["delivered"] == 49)  # what was counted is counted
    assert {user: idents for user, idents in moody.delivered().items() if user != "late"} == sent
    plane.stop()
    plane.config.write_text(before.replace("  hook:\n", "  other:\n"))
    plane.start()  # nothing is left to do there


def test_what_is_gone_from_the_config_is_known_while_a_letter_of_it_is_kept(
    moody: Moody, planes: Callable[[str], Plane]
) -> None:
    """Whichever process has them."""
    moody.status = 422
    plane = planes(config(moody, 2)).start()
    spread(plane, 12)
    until(lambda: hook(plane)["dead"] == 12)
    until(lambda: told(plane, "dead", "summary")["total"] == 12)
    before = plane.config.read_text()
    plane.config.write_text(before.replace("  website: {write_key: wk_test}", "  other: {write_key: wk_other}"))
    until(lambda: reloaded(plane))
    letters = told(plane, "dead", "list", "--source", "website")["dead"]
    assert len(letters) == 12
    first = [str(row["id"]) for row in letters if row["id"] < SPAN]
    last = [str(row["id"]) for row in letters if row["id"] >= SPAN]
    assert first
    assert last
    assert told(plane, "dead", "discard", "--yes", *last)["discarded"] == len(last)
    moody.status = 200
    assert told(plane, "dead", "retry", "--source", "website")["retried"] == len(first), "the first has them all"
    until(lambda: hook(plane)["delivered"] == len(first))
    code, out, err = cli(plane, "dead", "list", "--source", "website")
    assert (code, out, err) == (1, "", "turnout: no source is called website (there are: other)\n")


def test_a_layout_that_cannot_be_read_is_said(moody: Moody, planes: Callable[[str], Plane]) -> None:
    plane = planes(config(moody, 2)).start()
    plane.stop()
    (plane.folder / "data/state/layout.json").write_text('{"version": 9, "pipelines": 2}')
    with pytest.raises(NotReady, match="newer Turnout"):
        plane.start()


def test_tail_shows_the_verdicts_of_all_processes(moody: Moody, planes: Callable[[str], Plane]) -> None:
    plane = planes(config(moody, 2)).start()
    token = (plane.folder / "data/admin.token").read_text().strip()
    request = urllib.request.Request(f"{plane.admin}/api/v1/tail", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=30) as stream:
        assert "watching" in json.loads(stream.readline())["note"]
        sent = spread(plane, 24)
        users: set[str] = set()
        while users != set(sent):
            line = json.loads(stream.readline() or b"{}")
            users |= {line["user"]} if line.get("verdict") == "delivered" else set()


def test_a_backup_holds_the_state_of_all_and_may_be_started_with_another_number(
    moody: Moody, planes: Callable[[str], Plane], tmp_path: Path
) -> None:
    moody.users = {f"u{n}": 422 if n % 3 else 503 for n in range(24)}
    plane = planes(config(moody, 2)).start()
    spread(plane, 24)
    until(lambda: hook(plane)["dead"] == 16 and hook(plane)["retrying"] == 8)
    copy = tmp_path / "copy.tar.gz"
    assert cli(plane, "backup", str(copy))[0] == 0
    plane.stop()
    moody.users = {}
    other = planes(config(moody, 1))
    assert cli(other, "restore", str(copy), "--data", str(other.folder / "data"))[0] == 0
    assert not list((other.folder / "data/sequence").glob("head"))
    other.start()
    until(lambda: hook(other)["delivered"] == 8)
    assert told(other, "dead", "retry", "--all")["retried"] == 16
    until(lambda: hook(other)["delivered"] == 24)
