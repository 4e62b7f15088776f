"""Dead letters and refused events as people meet them: the command line against a running data plane."""

from __future__ import annotations

import io
import json
import os
import shlex
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import typer
from aiohttp import web

from bench.plane import Plane, turnout
from bench.sink import Sink
from dataplane.cli.client import Client
from dataplane.cli.export import _opened
from dataplane.cli.letters import retry
from dataplane.cli.main import main
from tests.project.checkout import ROOT, commands
from turnout import codec

CONFIG = """\
server: {{port: 0}}
admin: {{port: 0}}
egress: {{allow_private: true}}
sources:
  website: {{write_key: wk_test}}
transformations:
  mark: {{file: mark.py}}
destinations:
  hook: {{type: webhook, settings: {{webhook_url: "{url}/hook"}}}}
  marked: {{type: webhook, settings: {{webhook_url: "{url}/marked"}}, transformation: mark}}
"""
BROKEN = "def transformEvent(event, metadata):\n    return 1 / 0\n"
MENDED = "def transformEvent(event, metadata):\n    event['mended'] = True\n    return event\n"


class Moody(Sink):
    """A destination that answers `status` to what is sent to /hook."""

    status = 422

    async def _take(self, request: web.Request) -> web.Response:
        answer = await super()._take(request)
        return web.Response(status=self.status, text="no such user") if request.path == "/hook" else answer

    def taken(self) -> list[str]:
        return [one.json["messageId"] for one in list(self.arrivals)]


@pytest.fixture
def moody() -> Iterator[Moody]:
    with Moody() as running:
        yield running


def send(plane: Plane, events: list[dict[str, Any]]) -> None:
    request = urllib.request.Request(f"{plane.url}/v1/batch", json.dumps({"batch": events}).encode())
    request.add_header("X-Write-Key", "wk_test")
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 200


def made(number: int, start: int = 0) -> list[dict[str, Any]]:
    numbers = range(start, start + number)  # of few users, or the reject breaker would pause the destination
    return [{"type": "track", "event": "Paid", "userId": f"u{n % 15}", "messageId": f"m{n}"} for n in numbers]


def cli(plane: Plane, *words: str) -> tuple[int, str, str]:
    """A command in this process: exit code, standard output, standard error."""
    out, err = io.TextIOWrapper(io.BytesIO(), write_through=True), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main([*words, "--config", str(plane.config)])
    assert isinstance(out.buffer, io.BytesIO)
    return int(ended.value.code or 0), out.buffer.getvalue().decode(), err.getvalue()


def machine(plane: Plane, *words: str) -> Any:
    return codec.loads(cli(plane, *words, "--json")[1].encode())


def until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not become true"
        time.sleep(0.02)


def total(plane: Plane, *words: str) -> int:
    return int(machine(plane, "dead", "summary", *words)["total"])


def sums(plane: Plane, ident: str) -> dict[str, Any]:
    """A destination's counts, which balance; all is read."""
    status = plane.status()
    one: dict[str, Any] = status["destinations"][ident]
    unique = status["sources"]["website"]["unique"]
    assert unique + one["born"] == one["delivered"] + one["filtered"] + one["dead"] - one["revived"] + one["pending"]
    return one


def test_the_whole_way_of_a_dead_letter(data_plane: Callable[..., Plane], moody: Moody, tmp_path: Path) -> None:
    plane = data_plane(CONFIG.format(url=moody.url), {"mark.py": BROKEN})
    send(plane, made(5))
    until(lambda: total(plane) == 10)
    assert machine(plane, "dead", "summary")["destinations"] == {"hook": {"rejected": 5}, "marked": {"script": 5}}
    code, out, _ = cli(plane, "dead", "summary", "--class", "script")
    assert (code, out.split()[-3:]) == (0, ["marked", "script", "5"])
    assert total(plane, "--from", "1h") == 10
    assert total(plane, "--to", "1h") == 0
    assert total(plane, "-d", "hook", "--message-id", "m3") == 1
    listed = machine(plane, "dead", "list", "-d", "hook")["dead"]
    human = cli(plane, "dead", "list", "-d", "hook", "-n", "2")[1]
    assert "rejected" in human
    assert "--cursor" in human
    shown = machine(plane, "dead", "show", str(listed[0]["id"]))
    assert shown["answer"]["status"] == 422
    assert shown["request"]["body"]["json"]["event"] == "Paid"

    file = tmp_path / "letters.ndjson"
    assert cli(plane, "dead", "export", "--output", str(file))[0] == 0
    assert file.stat().st_mode & 0o777 == 0o600
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [row["id"] for row in rows] == sorted(row["id"] for row in rows)
    assert {row["event"]["messageId"] for row in rows} == {f"m{n}" for n in range(5)}
    assert cli(plane, "dead", "export", "--class", "script")[1].count("\n") == 5
    assert cli(plane, "dead", "export", "-o", str(tmp_path / "no" / "f"))[0] == 1

    assert cli(plane, "dead", "retry")[0] == 1
    assert cli(plane, "dead", "retry", "1", "--all")[0] == 1
    assert cli(plane, "dead", "list", "--class", "nosuch")[2].startswith("turnout: there is no class nosuch (")
    assert "no destination is called nosuch (there are: hook, marked)" in cli(plane, "dead", "retry", "-d", "nosuch")[2]
    assert "--from soon" in cli(plane, "dead", "list", "--from", "soon")[2]

    (plane.folder / "mark.py").write_text(MENDED)
    assert cli(plane, "reload")[0] == 0
    assert machine(plane, "dead", "retry", "--class", "script") == {
        "retried": 5, "left": [], "not_found": [], "held": {},
    }
    until(lambda: sums(plane, "marked")["delivered"] == 5)
    assert sum(event.get("mended", False) for event in moody.events) == 5

    code, out, err = cli(plane, "dead", "retry", str(listed[0]["id"]), "99999")
    assert (code, err) == (1, "99999: there is no dead letter of this id\n")
    until(lambda: total(plane) == 5)
    code, out, _ = cli(plane, "dead", "discard", "-d", "hook")
    assert code == 1
    assert "5 dead letters would be discarded for good: say --yes" in out
    assert total(plane) == 5
    assert cli(plane, "dead", "discard", "-d", "hook", "--yes")[:2] == (0, "5 dead letters discarded\n")
    assert cli(plane, "dead", "list")[1] == "no dead letters\n"
    one = sums(plane, "hook")
    assert (one["dead"], one["revived"], one["discarded"]) == (6, 1, 5)


class Paused(Client):
    """A data plane with one destination that takes some letters, and is paused then."""

    def get(self, path: str, **query: Any) -> Any:
        return {"total": 9, "destinations": {"hook": {"rejected": 9}}}

    def post(self, path: str, body: bytes = b"{}", **query: Any) -> Any:
        return {"retried": 4, "left": [], "not_found": [], "cursor": "5", "full": "hook", "held": "paused, by ann"}


class Gone(Paused):
    """One with many letters of a destination that is gone."""

    def post(self, path: str, body: bytes = b"{}", **query: Any) -> Any:
        left = [{"id": n, "reason": "destination hook is not in the config" if n < 900 else "odd"} for n in range(901)]
        return {"retried": 0, "left": left, "not_found": [], "cursor": None, "full": None, "held": None}


def test_letters_that_are_left_for_one_reason_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit):
        retry(Gone(Path("none.sock")), [], {}, every=True, retransform=False, as_json=False)
    assert capsys.readouterr().err.splitlines() == [
        "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 890 more: left: destination hook is not in the config", "900: left: odd",
    ]


def test_a_retry_does_not_wait_for_a_destination_that_is_paused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended:
        retry(Paused(Path("none.sock")), [], {}, every=True, retransform=False, as_json=False)
    out, err = capsys.readouterr()
    assert (ended.value.exit_code, out.split()[0]) == (1, "4")
    assert err == (
        "hook: the others stay in the list, it takes no more for now (paused, by ann): repeat this when it goes on\n"
    )


def test_an_export_that_is_ended_by_sigterm_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended, _opened(str(tmp_path / "letters.ndjson")) as file:
        file.write(b"personal data")
        os.kill(os.getpid(), signal.SIGTERM)
    assert (ended.value.code, list(tmp_path.iterdir())) == (143, [])


def test_refused_events_on_the_command_line(data_plane: Callable[..., Plane], moody: Moody, tmp_path: Path) -> None:
    plane = data_plane(CONFIG.format(url=moody.url), {"mark.py": MENDED})
    send(plane, [*made(1), {"type": "track", "event": "Nobody"}, {"type": "nosuch", "userId": "u"}])
    until(lambda: machine(plane, "refused", "summary")["total"] == 2)
    assert machine(plane, "refused", "summary")["sources"] == {"website": {"missing_id": 1, "unknown_type": 1}}
    plain, listed = machine(plane, "refused"), machine(plane, "refused", "list")
    assert plain == listed
    assert [one["code"] for one in plain["refused"]] == ["unknown_type", "missing_id"]
    assert "missing_id" in cli(plane, "refused", "--code", "missing_id")[1]
    number = str(plain["refused"][1]["number"])
    assert machine(plane, "refused", "show", number)["event"] == {"type": "track", "event": "Nobody"}
    file = tmp_path / "refused.ndjson"
    assert machine(plane, "refused", "export", "-o", str(file)) == {"exported": 2, "damaged": 0, "file": str(file)}
    assert cli(plane, "refused", "discard", number)[0] == 1
    assert machine(plane, "refused", "discard", number, "--yes") == {
        "matching": 1, "discarded": 1, "left": [], "not_found": [],
    }
    assert machine(plane, "refused", "discard", "--all", "--yes")["discarded"] == 1
    assert cli(plane, "refused", "-s", "website")[1] == "no refused events of that kind\n"


def test_kill_9_in_the_middle_of_a_retry(data_plane: Callable[..., Plane], moody: Moody) -> None:
    """None is lost and none is doubled in the books, wherever the kill falls."""
    number = 3_000
    plane = data_plane(CONFIG.format(url=moody.url), {"mark.py": MENDED})
    for start in range(0, number, 500):
        send(plane, made(500, start))
    until(lambda: total(plane) == number, 120)
    moody.status = 200
    before = len(moody.arrivals)
    ran = subprocess.Popen(
        [turnout(), "dead", "retry", "-d", "hook", "--config", str(plane.config)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    until(lambda: len(moody.arrivals) > before + 200)
    os.kill(plane.roles()["pipeline"], signal.SIGKILL)
    ran.communicate(timeout=60)
    until(lambda: plane.status()["roles"]["pipeline"]["state"] == "running" and "destinations" in plane.status())
    left = total(plane)
    one = sums(plane, "hook")
    assert left == one["dead"] - one["revived"]
    assert cli(plane, "dead", "retry", "--all")[0] == 0
    until(lambda: sums(plane, "hook")["delivered"] == number)
    assert total(plane) == 0
    assert set(moody.taken()) == {f"m{n}" for n in range(number)}


def test_the_commands_of_the_page_do_what_it_says(
    data_plane: Callable[..., Plane], moody: Moody, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every command of docs/dead-letters.md, in its order, against letters of each kind it speaks of."""
    monkeypatch.chdir(tmp_path)
    plane = data_plane(CONFIG.format(url=moody.url), {"mark.py": BROKEN})
    send(plane, [*made(20), {"type": "track", "event": "Nobody"}, {"type": "nosuch", "userId": "u"}])
    until(lambda: total(plane) == 40 and machine(plane, "refused", "summary")["total"] == 2)
    (plane.folder / "mark.py").write_text(MENDED)
    moody.status = 200
    ran = 0
    for line in commands(ROOT / "docs/dead-letters.md", "turnout"):
        words = shlex.split(line.replace("crm", "hook").replace("analytics", "marked"))[1:]
        if words[0] in ("dead", "refused"):
            listed = machine(plane, words[0], "list")[words[0]]
            key = "id" if words[0] == "dead" else "number"
            words = [str(listed[0][key]) if word.isdigit() else word for word in words]
        code, _, err = cli(plane, *words)
        asks = "discard" in words and "--yes" not in words
        assert code == int(asks), (line, err)
        ran += 1
    assert ran >= 12
    until(lambda: total(plane) == 0)
    sums(plane, "hook")
    sums(plane, "marked")
