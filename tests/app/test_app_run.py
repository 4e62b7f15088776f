"""`turnout run` as its users run it: real processes, real sockets, real files."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import ssl
import stat
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import psutil
import pytest
from mmdb_writer import MMDBWriter
from prometheus_client.parser import text_string_to_metric_families

from bench.plane import Plane, turnout
from bench.sink import Sink
from dataplane.cli.main import main

CONFIG = """\
server: {{port: 0}}
admin: {{port: 0}}
egress: {{allow_private: true}}
sources:
  website: {{write_key: wk_test}}
transformations:
  mark: {{file: mark.py}}
destinations:
  hook:
    type: webhook
    settings: {{webhook_url: "{url}/"}}
    transformation: mark
"""
MARK = """\
def transformEvent(event, metadata):
    if event.get("event") == "Boom":
        raise ValueError("boom")
    event["marked"] = True
    return event
"""


def config(sink: Sink, extra: str = "") -> str:
    return CONFIG.format(url=sink.url) + extra


def post(plane: Plane, event: dict[str, Any], key: str = "wk_test") -> int:
    body = json.dumps({"userId": "u1", **event}).encode()
    request = urllib.request.Request(f"{plane.url}/v1/{event.get('type', 'track')}", body)
    request.add_header("X-Write-Key", key)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def ask(plane: Plane, path: str, token: str | None = None, body: bytes | None = None) -> tuple[int, Any]:
    if token is None:
        token = (plane.folder / "data/admin.token").read_text().strip()
    request = urllib.request.Request(f"{plane.admin}{path}", body, {"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
            return answer.status, text.decode() if path == "/metrics" else json.loads(text)
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for it; an event that was tried a few times may wait for 32 seconds by itself."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not become true"
        time.sleep(0.02)


def cli(plane: Plane, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """A command against the plane, in this process: starting Python 20 times tests nothing more."""
    command = [*words, "--config", str(plane.config)]
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        with pytest.raises(SystemExit) as ended:
            main(command)
    return subprocess.CompletedProcess(command, int(ended.value.code or 0), out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Plane, Sink]]:
    """One plane for the tests that only look at it or send to it."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "mark.py").write_text(MARK)
    with Sink() as sink:
        plane = Plane(folder, config(sink)).start()
        yield plane, sink
        plane.stop()


def test_an_event_is_transformed_and_delivered(there: tuple[Plane, Sink]) -> None:
    plane, sink = there
    assert post(plane, {"event": "Seen", "messageId": "m-seen"}) == 200
    assert sink.wait(lambda s: any(e["messageId"] == "m-seen" for e in s.events))
    found = next(e for e in sink.events if e["messageId"] == "m-seen")
    assert found["marked"] is True
    assert found["request_ip"] == "127.0.0.1"


def test_files_and_sockets_are_for_their_owner_only(there: tuple[Plane, Sink]) -> None:
    data = there[0].folder / "data"
    for path in (data, *data.rglob("*")):
        mode = stat.S_IMODE(path.lstat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path


def test_the_admin_port_wants_the_token(there: tuple[Plane, Sink]) -> None:
    plane = there[0]
    for path in ("/api/v1/status", "/metrics", "/api/v1/nowhere"):
        status, said = ask(plane, path, token="wrong")
        assert (status, said["code"]) == (401, "unauthorized")
    assert ask(plane, "/api/v1/status")[0] == 200
    assert ask(plane, "/api/v1/nowhere")[1]["code"] == "not_found"


def test_health_and_the_openapi_document(there: tuple[Plane, Sink]) -> None:
    plane = there[0]
    assert ask(plane, "/api/v1/health") == (200, {"ok": True, "problems": [], "warnings": []})
    document = ask(plane, "/api/v1/openapi.json")[1]
    assert document["openapi"] == "3.1.0"
    assert "/api/v1/dead/{id}" in document["paths"]


def test_metrics_are_those_of_all_processes_and_declared(there: tuple[Plane, Sink]) -> None:
    plane, sink = there
    assert post(plane, {"event": "Counted", "messageId": "m-counted"}) == 200
    assert sink.wait(lambda s: any(e["messageId"] == "m-counted" for e in s.events))
    status, text = ask(plane, "/metrics")
    assert status == 200
    found = {(s.name, *sorted(s.labels.values())): s.value
             for family in text_string_to_metric_families(text) for s in family.samples}
    assert found["turnout_gateway_events_total", "accepted", "website"] >= 1
    assert found["turnout_log_open",] == 1
    roles = {key[1] for key in found if key[0] == "turnout_process_cpu_seconds_total"}
    assert roles == {"app", "ingest", "pipeline"}
    assert "metrics.undeclared" not in plane.output


def test_send_refused_and_status_commands(there: tuple[Plane, Sink]) -> None:
    plane, sink = there
    sent = cli(plane, "send", stdin='{"type": "track", "userId": "u", "event": "Cli", "messageId": "m-cli"}')
    assert sent.returncode == 0, sent.stderr
    assert sent.stdout.startswith("HTTP 200")
    assert sink.wait(lambda s: any(e["messageId"] == "m-cli" for e in s.events))
    assert "`type` is none of alias, group, identify, page, screen, track (did you mean track?)" in cli(
        plane, "send", stdin='{"type": "trak", "userId": "u"}'
    ).stderr
    bad = cli(plane, "send", "--json", stdin='{"type": "track", "event": "Nobody"}')
    assert bad.returncode == 1
    assert json.loads(bad.stdout)["status"] == 400
    until(lambda: bool(json.loads(cli(plane, "refused", "--json").stdout)["refused"]))
    assert "website" in cli(plane, "refused", "--source", "website").stdout
    shown = cli(plane, "status")
    assert shown.returncode == 0
    assert "is well" in shown.stdout
    assert "hook" in shown.stdout
    status = json.loads(cli(plane, "status", "--json").stdout)
    assert status["roles"]["ingest"]["state"] == "running"
    assert "\x1b[" not in shown.stdout


def test_a_dead_letter_is_listed_shown_and_retried(there: tuple[Plane, Sink]) -> None:
    plane, _ = there
    assert post(plane, {"event": "Boom", "messageId": "m-boom"}) == 200
    letters: list[Any] = []

    def came() -> bool:
        letters[:] = json.loads(cli(plane, "dead", "list", "--json").stdout)["dead"]
        return bool(letters)

    until(came)
    assert "hook" in cli(plane, "dead", "list", "--destination", "hook").stdout
    letter = str(letters[0]["id"])
    shown = json.loads(cli(plane, "dead", "show", letter).stdout)
    assert shown["message_id"] == "m-boom"
    assert "mark.py:3" in shown["reason"]
    assert cli(plane, "dead", "retry").returncode == 1
    retried = cli(plane, "dead", "retry", letter, "--json")
    assert json.loads(retried.stdout)["retried"] == 1
    assert cli(plane, "dead", "show", "999999").returncode == 1


def test_what_was_done_is_in_the_audit_trail_without_payloads(there: tuple[Plane, Sink]) -> None:
    plane, _ = there
    assert ask(plane, "/api/v1/dead")[0] == 200
    assert ask(plane, "/api/v1/dead/retry", body=b'{"ids": [1], "all": true}')[1]["code"] == "ids_or_all"
    lines = [json.loads(line) for line in (plane.folder / "data/audit.log").read_text().splitlines()]
    assert {"who": "token", "verb": "dead.list", "status": 200} in [
        {key: line[key] for key in ("who", "verb", "status")} for line in lines
    ]
    assert all(set(line) == {"at", "who", "verb", "status"} for line in lines)
    assert "status" not in {line["verb"] for line in lines}


def test_a_second_app_is_refused(there: tuple[Plane, Sink]) -> None:
    command = [turnout(), "run", "--config", str(there[0].config)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 1
    assert "is in use by another turnout" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_reload_takes_a_good_file_and_leaves_a_bad_one(there: tuple[Plane, Sink]) -> None:
    plane, sink = there
    good = config(sink) + "discard: []\n"
    try:
        plane.config.write_text(good.replace("wk_test}", "wk_test}\n  app: {write_key: wk_app}"))
        os.kill(plane.pid, signal.SIGHUP)
        until(lambda: post(plane, {"event": "New source"}, key="wk_app") == 200)
        (plane.folder / "bad.py").write_text("def transformEvent(event, metadata:\n")
        for text, said in (
            (good.replace("webhook_url", "webhook_ulr"), "webhook_ulr"),
            (good.replace("mark.py", "bad.py"), "bad.py:1"),
            (good.replace("server: {port: 0}", "server: {port: 1}"), "server.port cannot change"),
        ):
            plane.config.write_text(text)
            ran = cli(plane, "reload", "--socket", str(plane.folder / "data/admin.sock"))
            assert ran.returncode == 1
            assert said in ran.stderr, ran.stderr
            assert post(plane, {"event": "Still there"}, key="wk_app") == 200
        rejected = plane.status()["config"]["last_reload"]
        assert rejected["result"] == "rejected"
    finally:
        plane.config.write_text(config(sink))
    applied = cli(plane, "reload", "--json")
    assert applied.returncode == 0, applied.stderr
    assert json.loads(applied.stdout)["changed"] == ["sources.app"]
    assert post(plane, {"event": "Gone"}, key="wk_app") == 401


def test_a_script_that_fails_its_fixtures_is_not_put_in_force(there: tuple[Plane, Sink]) -> None:
    plane, sink = there
    script, fixtures = plane.folder / "mark.py", plane.folder / "mark.test.yaml"
    fixtures.write_text("cases:\n  - {name: marks, event: {event: A}, output: {event: A, marked: true}}\n")
    sent: list[str] = []

    def send(text: str, marked: Any) -> None:
        """Put a script in its place while events come, ask for a reload, and see who handles them then."""
        script.write_text(text)
        for n in range(20):
            sent.append(f"fx-{len(sent)}")
            assert post(plane, {"event": "Fixture", "messageId": sent[-1], "userId": f"u{n % 3}"}) == 200
            if n == 10:
                ran = cli(plane, "reload")
                assert (ran.returncode == 0) is (marked is not None), ran.stderr
                if marked is None:
                    os.kill(plane.roles()["pipeline"], signal.SIGKILL)  # and comes back with what was in force
                    assert 'mark.test.yaml:2: marks: expected "marked": true, came out "marked": 7' in ran.stderr
                    assert "\n    fixtures fail: `turnout test` shows more\n" in cli(plane, "status").stdout
        assert sink.wait(lambda s: {e["messageId"] for e in s.events} >= set(sent))
        last = next(e for e in sink.events if e["messageId"] == sent[-1])
        assert last["marked"] == (True if marked is None else marked)

    try:
        send(MARK.replace("= True", "= 7"), None)
        fixtures.write_text(fixtures.read_text().replace("marked: true", "marked: 8"))
        send(MARK.replace("= True", "= 8"), 8)
    finally:
        script.write_text(MARK)
        fixtures.unlink()
    assert cli(plane, "reload").returncode == 0
    got = [e["messageId"] for e in sink.events]
    assert set(got) >= set(sent)  # what was in flight at the kill may have come twice
    assert [got.count(one) for one in sent[20:]] == [1] * 20


def test_a_killed_role_comes_back_at_its_port(there: tuple[Plane, Sink]) -> None:
    plane, sink = there
    for role in ("ingest", "pipeline"):
        before = plane.status()["roles"][role]
        os.kill(before["pid"], signal.SIGKILL)
        until(lambda role=role, before=before: _again(plane, role, before))
        assert plane.status()["roles"][role]["last_exit"] == "SIGKILL"
    assert post(plane, {"event": "After", "messageId": "m-after"}) == 200
    assert sink.wait(lambda s: any(e["messageId"] == "m-after" for e in s.events))


@pytest.mark.parametrize("text", ["no python at all", MARK.replace("= True", "= 7"), None])
def test_a_killed_pipeline_runs_what_was_in_force_whatever_became_of_the_files(
    there: tuple[Plane, Sink], text: str | None
) -> None:
    """Broken, good but never put in force by a reload, or gone."""
    plane, sink = there
    script = plane.folder / "mark.py"
    try:
        script.unlink() if text is None else script.write_text(text)
        before = plane.status()["roles"]["pipeline"]
        os.kill(before["pid"], signal.SIGKILL)
        until(lambda: _again(plane, "pipeline", before))
        name = f"in-force-{hash(text)}"
        assert post(plane, {"event": "After", "messageId": name}) == 200
        assert sink.wait(lambda s: any(e["messageId"] == name for e in s.events))
        assert next(e for e in sink.events if e["messageId"] == name)["marked"] is True
    finally:
        script.write_text(MARK)


def test_a_reload_says_what_changed(there: tuple[Plane, Sink]) -> None:
    """Also where only a script's text did, and the configuration's hash is what it was."""
    plane, _ = there
    script = plane.folder / "mark.py"
    same = cli(plane, "reload").stdout
    assert same.endswith("; changed: no setting, secret or script\n")
    try:
        script.write_text(MARK.replace("= True", "= 1"))
        said = cli(plane, "reload").stdout
    finally:
        script.write_text(MARK)
    assert said == same.replace("no setting, secret or script", "transformations.mark")
    assert json.loads(cli(plane, "reload", "--json").stdout)["changed"] == ["transformations.mark"]
    text = plane.config.read_text()
    try:
        plane.config.write_text(text.replace("  website:", "  app: {write_key: other}\n  website:"))
        assert cli(plane, "reload").stdout.endswith("; added: sources.app\n")
    finally:
        plane.config.write_text(text)
    told = json.loads(cli(plane, "reload", "--json").stdout)
    assert (told["changed"], told["added"], told["removed"]) == (["sources.app"], [], ["sources.app"])


def test_a_killed_role_has_the_secrets_that_were_in_force(data_plane: Callable[..., Plane], sink: Sink) -> None:
    """Deleted or replaced since: what `${file:…}` said when the configuration was read."""
    header = "settings: {headers: [{from: X-Key, to: '${file:key}'}], "
    text = config(sink).replace("settings: {", header, 1)
    assert header in text
    plane = data_plane(text, {"mark.py": MARK, "key": "first\n"})
    for change in (lambda: (plane.folder / "key").write_text("never reloaded"), (plane.folder / "key").unlink):
        change()
        for role in ("ingest", "pipeline"):
            before = plane.status()["roles"][role]
            os.kill(before["pid"], signal.SIGKILL)
            until(lambda role=role, before=before: _again(plane, role, before))
    assert post(plane, {"event": "After", "messageId": "m-secret"}) == 200
    assert sink.wait(lambda s: any(e["messageId"] == "m-secret" for e in s.events))
    assert sink.arrivals[-1].headers["X-Key"] == "first"
    refused = cli(plane, "reload")
    assert (refused.returncode, "the file key does not exist" in refused.stderr) == (1, True)
    (plane.folder / "key").write_text("second")
    assert json.loads(cli(plane, "reload", "--json").stdout)["changed"] == ["destinations.hook"]


def _certificate(folder: Path) -> None:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", folder / "key.pem", "-out", folder / "cert.pem", "-days", "2", "-subj", "/CN=localhost"],
        check=True, capture_output=True,
    )


def test_a_killed_role_needs_neither_its_certificate_nor_its_places(
    data_plane: Callable[..., Plane], sink: Sink, tmp_path: Path
) -> None:
    """Both gone since: it serves with what was read, and says that scripts have no geolocation."""
    _certificate(tmp_path)
    MMDBWriter(6, "GeoLite2-City").to_db_file(str(tmp_path / "city.mmdb"))
    tls = f"tls: {{certificate: {tmp_path}/cert.pem, key: {tmp_path}/key.pem}}"
    text = config(sink, f"geolocation: {{database: {tmp_path}/city.mmdb}}\n")
    plane = data_plane(text.replace("server: {port: 0}", f"server: {{port: 0, {tls}}}"), {"mark.py": MARK})
    trusted = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
    for name in ("cert.pem", "key.pem", "city.mmdb"):
        (tmp_path / name).unlink()
    for role in ("ingest", "pipeline"):
        before = plane.status()["roles"][role]
        os.kill(before["pid"], signal.SIGKILL)
        until(lambda role=role, before=before: _again(plane, role, before))
    with urllib.request.urlopen(f"{plane.url}/ready".replace("127.0.0.1", "localhost"), context=trusted) as answer:
        assert answer.status == 200
    health = plane.status()["health"]
    assert health["problems"] == []
    assert any("city.mmdb cannot be read" in warning for warning in health["warnings"])
    assert "this file does not exist" in cli(plane, "reload").stderr
    _certificate(tmp_path)
    MMDBWriter(6, "GeoLite2-City").to_db_file(str(tmp_path / "city.mmdb"))
    assert json.loads(cli(plane, "reload", "--json").stdout)["changed"] == ["server.tls"]
    until(lambda: not any("city.mmdb" in warning for warning in plane.status()["health"]["warnings"]))


def _again(plane: Plane, role: str, before: dict[str, Any]) -> bool:
    now = plane.status()["roles"][role]
    return bool(now["state"] == "running" and now["pid"] != before["pid"] and now["restarts"] > before["restarts"])


def test_sigterm_drains_and_leaves_nothing(data_plane: Callable[..., Plane], sink: Sink) -> None:
    plane = data_plane(config(sink), {"mark.py": MARK})
    ready = json.loads((plane.folder / "ready.json").read_text())
    assert set(ready) == {"url", "admin", "socket", "pid", "roles"}
    family = [psutil.Process(plane.pid), *psutil.Process(plane.pid).children(recursive=True)]
    for number in range(20):
        assert post(plane, {"event": "E", "messageId": f"m{number}"}) == 200
    assert plane.stop() == 0
    assert not (plane.folder / "ready.json").exists()
    assert not (plane.folder / "data/admin.sock").exists()
    assert not [p for p in family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    plane.start()
    assert sink.wait(lambda s: {e["messageId"] for e in s.events} >= {f"m{n}" for n in range(20)})


def test_roles_end_with_a_killed_app_and_nothing_acknowledged_is_lost(
    data_plane: Callable[..., Plane], sink: Sink
) -> None:
    plane = data_plane(config(sink), {"mark.py": MARK})
    family = psutil.Process(plane.pid).children(recursive=True)
    for number in range(20):
        assert post(plane, {"event": "E", "messageId": f"k{number}"}) == 200
    os.kill(plane.pid, signal.SIGKILL)
    psutil.wait_procs(family, timeout=60)
    assert not [p for p in family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    plane.stop()
    plane.start()
    assert sink.wait(lambda s: {e["messageId"] for e in s.events} >= {f"k{n}" for n in range(20)})


def test_what_keeps_it_from_starting_is_one_line(tmp_path: Path, there: tuple[Plane, Sink]) -> None:
    plane, sink = there
    port = plane.url.rpartition(":")[2]
    file = tmp_path / "config.yaml"
    (tmp_path / "mark.py").write_text(MARK)
    file.write_text(config(sink).replace("server: {port: 0}", f"server: {{port: {port}}}"))
    ran = subprocess.run(
        [turnout(), "run", "--config", str(file)], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 1
    said = f"turnout: server: cannot listen on 127.0.0.1:{port}: Address already in use; end what listens there, or"
    assert ran.stderr.strip().splitlines()[-1] == f"{said} change server.port"
    assert "Traceback" not in ran.stderr


def test_from_an_empty_folder_to_a_demo_event(tmp_path: Path) -> None:
    """init, check, run --demo: the event is shown arriving with what the transformation gave it."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [turnout(), *words], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )

    assert run("init").returncode == 0
    assert run("init").returncode == 1
    checked = run("check")
    assert (checked.returncode, checked.stderr) == (0, "")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    file = tmp_path / "config.yaml"
    text = file.read_text().replace(":9000/", f":{port}/").replace("8080", "0").replace("8081", "0")
    file.write_text(text)
    out = tmp_path / "out"
    with out.open("w") as output:
        process = subprocess.Popen([turnout(), "run", "--demo"], cwd=tmp_path, stdout=output, stderr=output)
    try:
        until(lambda: "send one yourself" in out.read_text() or process.poll() is not None)
        said = out.read_text()
        assert "arrived at hook (POST http://127.0.0.1:" in said
        assert 'context.checked_by = "drop_internal"' in said
        assert "curl -u wk_demo: http://127.0.0.1:" in said
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
