"""The command line: its help, its page, its exit codes, and what each command prints."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane.cli import source
from dataplane.cli.page import page
from turnout import __version__
from turnout.errors import Fixable

ROOT = Path(__file__).parents[2]
CONFIG = """\
sources: {web: {write_key: k}, app: {write_key: k2}}
transformations: {mark: {file: mark.py}}
destinations:
  hook:
    type: webhook
    settings:
      webhook_url: https://example.com/in?token=hidden-value
      headers: [{from: X-Secret, to: hidden-value}]
    transformation: mark
    sources: [web]
  disk: {type: file, settings: {path: out}}
"""
MARK = """\
def transformEvent(event, metadata):
    if event.get("event") == "Drop":
        return None
    if event.get("event") == "Boom":
        return 1 / 0
    event["marked"] = True
    return event
"""
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cli(cli: Run, tmp_path: Path) -> Run:
    """As everywhere, in a folder with a config and a script."""
    (tmp_path / "config.yaml").write_text(CONFIG)
    (tmp_path / "mark.py").write_text(MARK)
    return cli


def event(tmp_path: Path, *events: Any) -> str:
    file = tmp_path / "events.ndjson"
    file.write_text("\n".join(json.dumps(one) for one in events))
    return str(file)


def test_the_page_is_made_from_the_help() -> None:
    assert (ROOT / "docs/cli.md").read_text() == page(), "python -m dataplane.cli.page > docs/cli.md"


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys; from dataplane.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'pydantic', 'aiohttp', 'asyncio', 'rich', 'structlog', 'yaml', 'msgspec', 'orjson'}\n"
        "sys.exit(','.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "preview" in ran.stdout


def test_version(cli: Run) -> None:
    assert cli("version") == (0, f"turnout {__version__}\n", "")
    assert cli("--version")[1] == f"turnout {__version__}\n"
    assert json.loads(cli("version", "--json")[1]) == {"version": __version__}


def test_a_wrong_command_line_is_exit_code_2(cli: Run) -> None:
    for words in (("nosuch",), ("preview",), ("status", "--nosuch"), ("dead", "list", "--limit", "0")):
        assert cli(*words)[0] == 2


def test_preview_without_a_destination_says_where_ids_stand(cli: Run) -> None:
    assert "under `destinations:`" in cli("preview")[2].replace("\n", " ")


def test_preview_says_what_a_body_is_sent_as(cli: Run, tmp_path: Path) -> None:
    text = (tmp_path / "config.yaml").read_text()
    chat = "  chat: {type: slack, settings: {webhook_url: https://hooks.example.com/services/hidden}}\n"
    (tmp_path / "config.yaml").write_text(text.rstrip("\n") + "\n" + chat)
    file = event(tmp_path, {"type": "track", "userId": "u", "event": "Seen"})
    assert "\nContent-Type: application/x-www-form-urlencoded\n\n{" in cli("preview", "-d", "chat", file)[1]
    assert "\nContent-Type: application/json\n\n{" in cli("preview", "-d", "hook", file)[1]


def test_check_says_good(cli: Run) -> None:
    assert cli("check") == (0, "config.yaml: good\n", "")
    assert json.loads(cli("check", "--json")[1]) == {"ok": True, "diagnostics": []}


def test_check_says_where(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG.replace("webhook_url", "webhok_url"))
    code, out, _ = cli("check")
    assert code == 1
    assert "config.yaml:7:7: destinations.hook.settings.webhok_url" in out
    found = json.loads(cli("check", "--json")[1])
    assert not found["ok"]
    assert {(one["line"], one["column"]) for one in found["diagnostics"]} >= {(7, 7)}
    assert "hidden-value" not in out + json.dumps(found)


@pytest.mark.parametrize(
    "host", ["127.0.0.1:9000", "10.1.2.3", "localhost", "[::1]:80", "169.254.169.254", "[fd00::1]", "[::ffff:10.0.0.1]"]
)
def test_check_warns_of_an_address_that_egress_refuses(cli: Run, tmp_path: Path, host: str) -> None:
    text = CONFIG.replace("example.com", f"me:hidden-value@{host}")
    (tmp_path / "config.yaml").write_text(text)
    code, out, _ = cli("check")
    assert code == 0
    where = "config.yaml:7:20: destinations.hook.settings.webhook_url"
    assert out.startswith(f"{where}: warning: this address is private, and private addresses are refused")
    assert out.endswith("config.yaml: good\n")
    found = json.loads(cli("check", "--json")[1])
    assert found["ok"] is True
    assert [(one["severity"], one["line"]) for one in found["diagnostics"]] == [("warning", 7)]
    assert "hidden-value" not in out + json.dumps(found)
    (tmp_path / "config.yaml").write_text(text + "egress: {allow_private: true}\n")
    assert cli("check")[1] == "config.yaml: good\n"


def test_check_warns_of_a_stand_in_that_egress_refuses(cli: Run, tmp_path: Path) -> None:
    stand_in = "egress: {stand_ins: {example.com: 'http://127.0.0.1:9001'}}\n"
    (tmp_path / "config.yaml").write_text(CONFIG + stand_in)
    assert "egress.stand_ins" in (out := cli("check")[1])
    assert "this address is private" in out
    (tmp_path / "config.yaml").write_text(CONFIG + stand_in.replace("}}", "}, allow_private: true}"))
    assert "this address is private" not in cli("check")[1]


@pytest.mark.parametrize("host", ["example.com", "abc.de", "8.8.8.8", "[2606:4700::1]", "localhost.example.com"])
def test_check_does_not_warn_of_an_address_that_is_reached(cli: Run, tmp_path: Path, host: str) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG.replace("example.com", host))
    assert cli("check") == (0, "config.yaml: good\n", "")


def test_check_compiles_scripts_in_the_sandbox(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "mark.py").write_text("def transformEvent(event, metadata):\n    return event[\n")
    code, out, _ = cli("check")
    assert code == 1
    assert out.startswith("mark.py:2: transformations.mark: ")


def test_a_missing_config_is_one_line(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").unlink()
    for command in (("check",), ("run",), ("status",)):
        code, out, err = cli(*command)
        assert code == 1
        assert "config.yaml: this file does not exist" in out + err
        assert (out + err).count("\n") == 1


def test_no_running_turnout_is_one_line(cli: Run) -> None:
    code, _, err = cli("status")
    assert code == 1
    assert err.startswith("turnout: no running turnout at ")
    assert err.count("\n") == 1


def test_preview_shows_the_request_with_secrets_masked(cli: Run, tmp_path: Path) -> None:
    file = event(tmp_path, {"type": "track", "userId": "u", "event": "Seen", "messageId": "m1"})
    code, out, err = cli("preview", "-d", "hook", file)
    assert (code, err) == (0, "")
    assert "# event m1 to hook" in out
    assert "POST https://example.com/in" in out
    assert '"marked": true' in out
    assert "hidden-value" not in out
    machine = json.loads(cli("preview", "-d", "hook", file, "--json")[1])
    (part,) = machine["parts"]
    assert part["verdict"] == "send"
    assert part["requests"][0]["body"]["json"]["userId"] == "u"
    assert not list(tmp_path.glob("data*"))


def test_preview_names_what_stops_an_event(cli: Run, tmp_path: Path) -> None:
    file = event(
        tmp_path,
        {"type": "track", "userId": "u", "event": "Drop"},
        {"type": "track", "userId": "u", "event": "Boom"},
        {"type": "track", "userId": "u", "event": "No", "integrations": {"hook": False}},
        {"type": "track", "event": "Nobody"},
    )
    code, out, _ = cli("preview", "-d", "hook", "--json", file)
    assert code == 1
    found = [json.loads(line)["parts"][0] for line in out.splitlines()]
    assert [part["verdict"] for part in found] == ["filtered", "dead", "filtered", "refused"]
    assert found[0]["reason"] == "dropped by mark"
    assert "mark.py:5" in found[1]["reason"]
    assert found[2]["reason"] == "integrations.hook is false"
    human = cli("preview", "-d", "hook", file)[1]
    assert "filtered: dropped by mark" in human
    assert cli("preview", "-d", "hook", "-s", "app", event(tmp_path, {"type": "track", "userId": "u"}))[0] == 1


def test_preview_of_a_tool_that_is_not_http(cli: Run, tmp_path: Path) -> None:
    code, out, _ = cli("preview", "-d", "disk", event(tmp_path, {"type": "track", "userId": "u", "event": "E"}))
    assert code == 0
    assert out.count("record for ") == 1
    assert '"userId": "u"' in out


def test_preview_shows_the_key_of_a_record(cli: Run, tmp_path: Path) -> None:
    """By it Kafka chooses the partition, and so what stays in order."""
    with (tmp_path / "config.yaml").open("a") as config:
        config.write("  bus: {type: kafka, settings: {host_name: broker.example.com, topic: events}}\n")
    file = event(tmp_path, {"type": "track", "userId": "u-7", "event": "E"})
    assert "\nrecord for events, key u-7\n\n{" in cli("preview", "-d", "bus", file)[1]
    assert ", key" not in cli("preview", "-d", "disk", file)[1]


def test_preview_of_an_unknown_destination_is_one_line(cli: Run, tmp_path: Path) -> None:
    code, _, err = cli("preview", "-d", "hok", event(tmp_path, {"type": "track", "userId": "u"}))
    assert code == 1
    assert err == "turnout: no destination is called hok (did you mean hook?)\n"


def test_init_writes_what_runs_and_never_overwrites(cli: Run, tmp_path: Path) -> None:
    assert cli("init", "new")[0] == 0
    assert cli("check", "--config", "new/config.yaml")[0] == 0
    (tmp_path / "new/config.yaml").write_text("mine")
    code, _, err = cli("init", "new")
    assert code == 1
    assert "config.yaml" in err
    assert (tmp_path / "new/config.yaml").read_text() == "mine"
    assert cli("init", "new", "--force")[0] == 0
    assert (tmp_path / "new/config.yaml").read_text() != "mine"


@pytest.mark.parametrize(
    ("text", "count"),
    [('{"a": 1}', 1), ('[{"a": 1}, {}]', 2), ('{"batch": [{}, {}, {}]}', 3), ('{"a": 1}\n\n{"b": 2}\n', 2)],
)
def test_events_in_every_form(tmp_path: Path, text: str, count: int) -> None:
    file = tmp_path / "e"
    file.write_text(text)
    assert len(source.read_events(str(file))) == count


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    file = tmp_path / "e"
    file.write_text('{"a": 1}\n{"b": \n')
    with pytest.raises(Fixable, match=r":2: the body is not valid JSON"):
        source.read_events(str(file))


@settings(max_examples=100)
@given(st.binary(max_size=200))
def test_any_bytes_are_events_or_a_sentence(data: bytes) -> None:
    """Whatever is in a file, a command ends with events or with a sentence."""
    try:
        found = source.parse_events(data, "events")
    except Fixable as error:
        assert str(error).startswith("events")
    else:
        assert all(isinstance(one, dict) for one in found)
