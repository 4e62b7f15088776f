"""Whatever people ask for, and whatever answers: one clear line and an exit code, never a traceback."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.plane import Plane, turnout
from bench.sink import Sink
from dataplane.cli.client import Client
from turnout.errors import Unavailable

Run = Callable[..., tuple[int, str, str]]
CONFIG = """\
server: {{port: 0}}
admin: {{port: 0}}
egress: {{allow_private: true}}
sources: {{website: {{write_key: wk_test}}}}
destinations: {{hook: {{type: webhook, settings: {{webhook_url: "{url}/"}}}}}}
"""
HUGE, LONG, LATIN = "9" * 30, "9" * 5_000, "\udcff"
ASKED: dict[str, list[tuple[tuple[str, ...], str]]] = {
    "an event": [
        (("explain", ""), "say which event: its messageId, or '#' and its number"),
        (("explain", "#-1"), "behind # stands the number of an event, as in #1204"),
        (("explain", f"#{LONG}"), "behind # stands the number of an event, as in #1204"),
        (("explain", "{x}"), "no event of website with this messageId is known"),
        (("explain", "a/b?c#d%zz"), "no event of website with this messageId is known"),
        (("explain", 'ü"\n'), "no event of website with this messageId is known"),
        (("explain", LATIN), "'\\udcff' is not UTF-8"),
        (("explain", "m1", "--source", LATIN), "'\\udcff' is not UTF-8"),
        (("explain", "x" * 70_000), "what is asked for has 70,016 characters, and an address at most 8,000"),
        (("tail", "--event", LATIN), "'\\udcff' is not UTF-8"),
        (("tail", "--destination", "hok"), "no destination is called hok (did you mean hook?)"),
        (("tail", "--source", "webiste"), "no source is called webiste (did you mean website?)"),
    ],
    "a letter": [
        (("dead", "show", "summary"), "summary: an id is a number, as `turnout dead list` shows them"),
        (("dead", "show", "%31"), "%31: an id is a number, as `turnout dead list` shows them"),
        (("dead", "show", "\uff11"), "\uff11: an id is a number, as `turnout dead list` shows them"),
        (("dead", "show", "1\n"), "1\\n: an id is a number, as `turnout dead list` shows them"),
        (("refused", "show", ""), "nothing: an id is a number, as `turnout refused list` shows them"),
        (("refused", "show", HUGE), f"{HUGE}: an id is a number, as `turnout refused list` shows them"),
        (("refused", "show", "1" + "0" * 18), "there is no refused event 1" + "0" * 18),
        (("dead", "retry", "7", LONG), f"{'9' * 39}…: an id is a number, as `turnout dead list` shows them"),
        (("dead", "discard", "x"), "x: an id is a number, as `turnout dead list` shows them"),
        (("dead", "list", "--cursor", HUGE), "cursor is what the page before said"),
        (("refused", "list", "--cursor", f"{HUGE}_1"), "cursor is what the page before said"),
        *(
            ((*words, "--source", "webiste"), "no source is called webiste (did you mean website?)")
            for words in (
                ("dead", "list"), ("dead", "summary"), ("dead", "export"), ("dead", "retry"), ("dead", "discard"),
                ("refused",), ("refused", "list"), ("refused", "summary"), ("refused", "export"),
                ("refused", "discard", "--yes"),
            )
        ),
        (("dead", "list", "--destination", "hok"), "no destination is called hok (did you mean hook?)"),
        (("dead", "list", "--source", "x"), "no source is called x (there are: website)"),
        (("dead", "list", "--from", LONG), f"--from {'9' * 39}…: write a moment"),
        (("dead", "export", "--output", "."), ".: is a folder; name a file, or - for standard output"),
        (("dead", "export", "--output", ""), ".: is a folder; name a file, or - for standard output"),
    ],
    "a pause or a replay": [
        (("pause", "destination", ""), "there is no destination of this name; there is hook"),
        (("resume", "source", "websiet"), "there is no source websiet (did you mean website?)"),
        (("replay", "--dry-run", "-d", "hok"), "no destination is called hok (did you mean hook?)"),
        (("replay", "--dry-run", "-d", "hook", "-s", "webiste"), "no source is called webiste (did you mean website?)"),
        (("replay", "status", HUGE), "the id of a replay is a number"),
        (("replay", "cancel", ""), "nothing: the id of a replay is a number"),
        (("replay", "--dry-run", "--to-file", "."), "exists already: name a new file"),
        (("replay", "--dry-run", "--to-file", "no/folder"), "is no folder"),
        (("replay", "--dry-run", "-d", "hook", "--from", "-2h"), "--from: -2h is neither a time"),
    ],
}


def test_what_runs_answers_while_its_file_is_broken(
    data_plane: Callable[..., Plane], sink: Sink, cli: Run, tmp_path: Path
) -> None:
    plane = data_plane(CONFIG.format(url=sink.url))
    good = plane.config.read_text()
    plane.config.write_text("a: [\n")
    said = f"{plane.config}:2:1: a key or a value is missing before this"
    for words in (("status",), ("dead", "list"), ("pause", "destination", "hook"), ("resume", "destination", "hook")):
        code, out, err = cli(*words, "--config", str(plane.config))
        assert (code, bool(out)) == (0, True), words
        assert err == f"{said} (so {plane.folder / 'data' / 'admin.sock'} is asked)\n"
    code, _, err = cli("reload", "--config", str(plane.config))
    assert (code, err) == (1, f"turnout: {said}\n")
    plane.stop()
    assert cli("status", "--config", str(plane.config))[0] == 1
    assert cli("status", "--config", str(tmp_path / "none.yaml"))[0] == 1
    plane.config.write_text(good)


def test_what_nobody_can_be_asked_for(data_plane: Callable[..., Plane], sink: Sink, cli: Run) -> None:
    plane = data_plane(CONFIG.format(url=sink.url))
    for words, said in [one for some in ASKED.values() for one in some]:
        code, out, err = cli(*words, "--config", str(plane.config))
        assert (code, out) == (1, ""), words
        assert err.startswith("turnout: "), words
        assert said in err, words
        assert err.count("\n") == 1, words
    code, _, err = cli("replay", "-d", "hook", "--rate", "inf", "--config", str(plane.config))
    assert (code, "--rate" in err) == (2, True)
    code, out, _ = cli("dead", "discard", "5", "5", "--config", str(plane.config))
    assert (code, out) == (1, "what is kept under 1 id would be discarded for good: say --yes to do it\n")
    code, out, err = cli("dead", "retry", "5", "5", "--config", str(plane.config))
    assert (code, err) == (1, "5: there is no dead letter of this id\n")
    token = (plane.folder / "data" / "admin.token").read_text().strip()
    for path in ("dead/" + HUGE, "dead/%EF%BC%91", "refused/-1", "dead?cursor=" + HUGE, "replays/" + HUGE):
        request = urllib.request.Request(f"{plane.admin}/api/v1/{path}", headers={"Authorization": f"Bearer {token}"})
        with pytest.raises(urllib.error.HTTPError) as answer:
            urllib.request.urlopen(request, timeout=30)
        assert answer.value.code == 422, path
        assert json.loads(answer.value.read())["code"] == "fixable"


# ---- what answers


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
ANSWERS = {
    "nothing": (b"", "hung up"),
    "no HTTP": (b"hello\r\n", "hung up"),
    "another": (b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", "gave no whole answer (6 bytes)"),
    "its error": (b"HTTP/1.1 502 No\r\nContent-Length: 6\r\n\r\n<html>", "gave no whole answer (HTTP 502, 6 bytes)"),
    "half": (HEAD + b'\r\n{"health":', "gave no whole answer (10 bytes)"),
    "half a chunk": (HEAD + b'Transfer-Encoding: chunked\r\n\r\n40\r\n{"health":', "hung up"),
}


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("words", [("status",), ("tail",), ("dead", "export"), ("explain", "m1")], ids=" ".join)
def test_an_answer_that_is_none(cli: Run, tmp_path: Path, words: tuple[str, ...], answer: str) -> None:
    given, said = ANSWERS[answer]
    with socket.socket(socket.AF_UNIX) as door:
        door.bind("admin.sock")
        door.listen()

        def serve() -> None:
            with door.accept()[0] as asker:
                asker.recv(65_536)
                asker.sendall(given)

        thread = threading.Thread(target=serve)
        thread.start()
        code, out, err = cli(*words, "--socket", "admin.sock")
        thread.join()
    assert (code, out) == (1, "")
    assert err.startswith("turnout: turnout at admin.sock ")
    assert said in err
    assert err.count("\n") == 1


def test_an_answer_that_does_not_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as door:
        door.bind("admin.sock")
        door.listen()
        with pytest.raises(Unavailable, match=r"turnout at admin\.sock did not answer within 0\.05 s"):
            Client(Path("admin.sock"), 0.05).get("/status")


@pytest.mark.parametrize(("path", "said"), [
    ("none.sock", "no running turnout at none.sock"), ("file/x", "file/x: Not a directory"), ("x" * 200, "too long"),
])  # fmt: skip
def test_a_socket_that_is_none(cli: Run, tmp_path: Path, path: str, said: str) -> None:
    (tmp_path / "file").write_text("")
    code, out, err = cli("status", "--socket", path)
    assert (code, out, said in err, err.count("\n")) == (1, "", True, 1)


@pytest.mark.parametrize(
    "words", [("version",), ("docs", "configuration"), ("docs", "destination"), ("check",)], ids=" ".join
)
def test_a_reader_that_has_seen_enough(tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG.format(url="https://example.com"))
    reading, writing = os.pipe()
    os.close(reading)
    ran = subprocess.run(
        [turnout(), *words], cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60, check=False
    )
    os.close(writing)
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize(("closed", "words", "code", "said"), [
    ("<&-", ("send",), 1, "turnout: standard input is empty: an event is a JSON object\n"),
    ("<&-", ("replay", "--to-file", "x"), 1, "turnout: no running turnout at"),
    (">&-", ("version",), 0, ""),
    ("<&- >&-", ("status",), 1, "turnout: no running turnout at"),
    ("2>&-", ("status",), 1, ""),
])  # fmt: skip
def test_standard_streams_that_are_closed(
    tmp_path: Path, closed: str, words: tuple[str, ...], code: int, said: str
) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG.format(url="https://example.com"))
    ran = subprocess.run(
        ["/bin/sh", "-c", f'"$0" "$@" {closed}', turnout(), *words], cwd=tmp_path, text=True,
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert ran.returncode == code
    assert ran.stderr.startswith(said)
    assert ran.stderr.count("\n") == (1 if said else 0)
