"""A good config: what it becomes, its defaults, its documentation and its schema."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from dataplane.config import Config, check, load, masked, parse
from dataplane.config import model as config_model
from dataplane.config.fields import models
from dataplane.config.planned import PLANNED
from dataplane.config.reference import page
from dataplane.config.schema import schema
from dataplane.config.starter import starter_files
from turnout.durations import duration, size, write_duration, write_size
from turnout.errors import ConfigError

ROOT = Path(__file__).parents[2]

FULL = """\
server:
  host: 0.0.0.0
  port: 443
  trusted_proxies: [10.0.0.0/8, "::1"]
  tls: {certificate: tls/cert.pem, key: /etc/key.pem}
  limits: {body: 1MB, decompressed: 2MiB, events: 10, event: 32KiB, connections: 5, header_timeout: 1s,
           body_timeout: 1500ms, refused_bytes: 0}
admin: {host: 127.0.0.1, port: 8082, token: "", socket: run/admin.sock}
data: /var/lib/turnout
egress: {allow_private: true}
log: {segment_bytes: 1MB, retention: 12h, max_bytes: 1GB, min_free_bytes: 10MB}
dedup: {enabled: false, window: 2d, max_ids: 1000}
processes: {transform: 2}
sources:
  web: {write_key: wk_a, write_keys: [wk_b], origins: ["https://Shop.example"], rate: 100, trusted: false}
  old: {write_key: wk_c, enabled: false}
libraries: {lib: {file: lib.py, language: python}}
transformations: {one: {file: one.py, timeout: 2s, memory: 64MiB}, two: {file: two.py}}
destinations:
  hook:
    type: webhook
    name: My hook
    settings: {webhook_url: "http://a.example/"}
    transformation: [one, two]
    sources: [web]
    enabled: false
    delivery: {batch: 10, batch_bytes: 1MB, linger: 0.5, concurrency: 3, rate: 0.5, timeout: 3s,
               retry_for: 1d, retry_after: 2h, hold_for: 1m, order: none}
    start: beginning
    was: old_hook
discard: [gone]
"""


def test_a_full_config_is_read() -> None:
    made = parse(FULL, "/etc/turnout/config.yaml", {})
    assert made.server.tls is not None
    assert (made.server.tls.certificate, made.server.tls.key) == (
        Path("/etc/turnout/tls/cert.pem"), Path("/etc/key.pem"),
    )
    assert made.admin.socket == Path("/etc/turnout/run/admin.sock")
    assert made.libraries["lib"].file == Path("/etc/turnout/lib.py")
    assert made.server.limits.body_timeout == timedelta(seconds=1.5)
    assert made.sources["web"].keys == ("wk_a", "wk_b")
    assert made.sources["web"].origins == ["https://shop.example"]
    hook = made.destinations["hook"]
    assert hook.transformations == ("one", "two")
    assert hook.delivery.linger == timedelta(seconds=0.5)
    assert (hook.was, hook.start, made.discard) == ("old_hook", "beginning", ["gone"])


def test_what_is_shown_reads_back_as_the_same_config() -> None:
    for text in (FULL, "{}"):
        made = parse(text, "/etc/turnout/config.yaml", {})
        shown = masked(made)
        again = parse(json.dumps(shown), "/elsewhere/config.yaml", {})
        assert again.model_dump() == made.model_dump()


def test_the_model_alone_has_the_documented_defaults(tmp_path: Path) -> None:
    assert Config().model_dump() == Config.model_validate({}).model_dump()
    assert Config().admin.socket == Path("data/admin.sock")
    assert Config(data=tmp_path).admin.socket == tmp_path / "admin.sock"
    assert parse("{}", "/x/c.yaml", {}).data == Path("/x/data")


def test_paths_follow_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "c.yaml").write_text("data: ../state\n")
    monkeypatch.chdir(tmp_path)
    assert load("deploy/c.yaml", {}).data == tmp_path / "deploy" / ".." / "state"


@given(st.integers(0, 10**12))
def test_durations_and_sizes_read_back(number: int) -> None:
    length = timedelta(milliseconds=number)
    assert duration(write_duration(length)) == length
    assert size(write_size(number)) == number


@pytest.mark.parametrize(("text", "value"), [
    ("500ms", 0.5), ("10s", 10), ("1.5h", 5400), (" 7 d ", 604800), (0.25, 0.25), ("30", 30), (0, 0),
])
def test_durations(text: str | float, value: float) -> None:
    assert duration(text).total_seconds() == value


@pytest.mark.parametrize("value", ["", "5 weeks", "-1s", -1, True, None, "1e5s", "1.2.3s", [], "٣s"])
def test_no_durations(value: object) -> None:
    with pytest.raises(ValueError, match="must"):
        duration(value)


@pytest.mark.parametrize("value", [10**30, 1e300, float("inf"), float("nan"), "9" * 23 + "d", "40000d"])
def test_no_endless_durations(value: object) -> None:
    with pytest.raises(ValueError, match="must be at most 36500d"):
        duration(value)


@pytest.mark.parametrize(
    "value", ["", "5 apples", "-1", -1, True, None, 1.5, "9" * 30, "10EB", "9" * 20 + "GB", "1..5kB"],
)
def test_no_sizes(value: object) -> None:
    with pytest.raises(ValueError, match="must"):
        size(value)


def test_the_sandbox_is_off_only_where_that_is_said() -> None:
    assert parse("sources: {}\n", "c.yaml", {}).sandbox == "auto"
    assert parse("sandbox: off\n", "c.yaml", {}).sandbox == "off"
    assert parse('sandbox: "required"\n', "c.yaml", {}).sandbox == "required"
    for wrong in ("false", "none", "on"):
        with pytest.raises(ConfigError, match="sandbox"):
            parse(f"sandbox: {wrong}\n", "c.yaml", {})


def test_the_page_is_what_the_model_says() -> None:
    assert (ROOT / "docs" / "configuration.md").read_text() == page(), (
        "run: python -m dataplane.config.reference > docs/configuration.md"
    )


def _below(annotation: object) -> list[type[BaseModel]]:
    """The models a field's type names: itself, in a union, or as the values of a dict."""
    return models(annotation) + [m for part in getattr(annotation, "__args__", ()) for m in models(part)]


def _all_models(model: type[BaseModel]) -> set[type[BaseModel]]:
    found = {model}
    for field in model.model_fields.values():
        for kind in _below(field.annotation):
            found |= _all_models(kind)
    return found


def test_every_key_has_a_description_and_every_model_is_used() -> None:
    used = _all_models(Config)
    for kind in used:
        assert kind.__doc__
        assert all(field.description for field in kind.model_fields.values()), kind
    assert set(config_model.Model.__subclasses__()) == used


def test_a_planned_key_is_no_field() -> None:
    for pattern in PLANNED:
        owner: list[type[BaseModel]] = [Config]
        for step in pattern[:-1]:
            if step != "*":
                owner = _below(owner[0].model_fields[step].annotation)
        assert pattern[-1] not in owner[0].model_fields


def test_the_schema_names_every_section() -> None:
    made = schema()
    assert set(made["properties"]) == set(Config.model_fields)
    assert made["$defs"]["Server"]["properties"]["port"]["anyOf"] == [
        {"maximum": 65535, "minimum": 0, "type": "integer"}, {"type": "string", "pattern": r"\$\{"},
    ]
    assert made["additionalProperties"] is False


def _run(*arguments: str) -> str:
    ran = subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, capture_output=True, text=True)
    assert ran.stderr == ""
    return ran.stdout


def test_pages_are_programs() -> None:
    for module, start in (("reference", "# Configuration"), ("schema", "{")):
        assert _run("-m", f"dataplane.config.{module}").startswith(start)


def test_importing_the_room_imports_no_destination() -> None:
    program = "import sys, dataplane.config; print(sorted({m.partition('.')[0] for m in sys.modules}))"
    imported = set(_run("-c", program).split("'"))
    assert not {"destinations", "transformations", "aiohttp", "asyncio", "ssl"} & imported


def test_the_starter_files_make_a_config_that_is_good(tmp_path: Path) -> None:
    for name, content in starter_files().items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    assert next(iter(starter_files())) == "config.yaml"
    assert check(tmp_path / "config.yaml", {}) == []
    assert load(tmp_path / "config.yaml", {}).sources["website"].keys == ("wk_demo",)


def test_the_starter_files_of_a_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As hatch lays it out: the template lies in the package, and nothing beside the package."""
    template = tmp_path / "dataplane" / "cli" / "template"
    names = list(starter_files())
    for name in names:
        (template / name).parent.mkdir(parents=True, exist_ok=True)
        (template / name).write_bytes(name.encode())
    init = tmp_path / "dataplane" / "__init__.py"
    init.write_text("")
    spec = importlib.util.spec_from_file_location(
        "dataplane", init, submodule_search_locations=[str(init.parent)]
    )
    assert spec is not None
    monkeypatch.setitem(sys.modules, "dataplane", importlib.util.module_from_spec(spec))
    assert starter_files() == {name: name.encode() for name in names}
