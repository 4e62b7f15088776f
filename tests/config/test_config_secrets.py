"""Secrets: where they come from, and that they are shown nowhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, SecretStr, ValidationError, field_validator

from dataplane.config import InvalidConfig, check, fingerprint, load, masked, parse
from dataplane.config.diagnostic import Report
from dataplane.config.document import Interpolated, compose, plain
from dataplane.config.interpolation import interpolate
from dataplane.config.sentences import tell
from turnout import Settings

SECRET = "hunter2-hunter2"


def read(text: str, environ: dict[str, str], folder: Path = Path()) -> object:
    report = Report("c")
    root = compose(f"v: {text}\n", report)
    assert root is not None
    interpolate(root, environ, folder, report)
    assert [str(d) for d in report.diagnostics()] == []
    made = plain(root)
    assert isinstance(made, dict)
    return made["v"]


@pytest.mark.parametrize(("text", "value"), [
    ("${A}", "5"),
    ("'x${A}y${A}'", "x5y5"),
    ("${NONE:-}", ""),
    ("${NONE:-8080}", "8080"),
    ("${EMPTY:-no}", "no"),
    ("${EMPTY}", ""),
    ("${A:-6}", "5"),
    ("'${NONE:-a: b, [c]:-d}'", "a: b, [c]:-d"),
    ("$${A}", "${A}"),
    ("a$${A}${A}", "a${A}5"),
    ("$A", "$A"),
    ("${file:s.txt}", "two\nlines"),
    ("'pre-${file:./s.txt}'", "pre-two\nlines"),
    ("|\n  ${A}\n  b", "5\nb\n"),
])
def test_what_is_read_is_text(text: str, value: str, tmp_path: Path) -> None:
    (tmp_path / "s.txt").write_text("two\nlines\r\n\n")
    assert read(text, {"A": "5", "EMPTY": ""}, tmp_path) == value


def test_what_is_read_is_not_read_again() -> None:
    assert read("${A}", {"A": "${B} $${C}", "B": "no"}) == "${B} $${C}"


def test_fields_of_numbers_and_booleans_take_text_from_the_environment() -> None:
    text = (
        "server: {port: \"${PORT}\"}\negress:\n  allow_private: ${YES}\nlog:\n  max_bytes: ${SIZE}\n"
        "  retention: ${TIME}\nsources:\n  web:\n    write_key: ${KEY}\n    rate: ${RATE}\n"
    )
    environ = {"PORT": "0", "YES": "yes", "SIZE": "2GB", "TIME": "90", "KEY": "0123", "RATE": "2.5"}
    made = parse(text, "c", environ)
    assert (made.server.port, made.egress.allow_private, made.log.max_bytes) == (0, True, 2_000_000_000)
    assert (made.log.retention.total_seconds(), made.sources["web"].keys, made.sources["web"].rate) == (
        90, ("0123",), 2.5,
    )


def test_only_regular_files_of_bounded_size_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "bad").write_bytes(b"\xff")
    (tmp_path / "big").write_bytes(b"x" * ((1 << 20) + 1))
    names = ("pipe", "bad", "big", "none", ".", "")
    text = "".join(f"k{i}: ${{file:{name}}}\n" for i, name in enumerate(names))
    report = Report("c")
    root = compose(text, report)
    assert root is not None
    interpolate(root, {}, tmp_path, report)
    assert [d.message for d in report.diagnostics()] == [
        "pipe is not a regular file",
        "the file bad is not UTF-8",
        "the file big is larger than 1048576 bytes",
        "the file none does not exist",
        ". is not a regular file",
        "${file:PATH} needs the path of a file",
    ]


CONFIG = """\
admin: {token: "${T}"}
sources: {web: {write_key: wk_public}}
destinations:
  hook:
    type: webhook
    settings:
      webhook_url: https://user:hunter2-hunter2@hooks.example/x?token=hunter2-hunter2
      headers: {Authorization: "Bearer ${T}", X-Literal: hunter2-hunter2}
  other:
    type: no_such_tool
    settings: {url: "https://x/${T}", key: hunter2-hunter2, deep: {list: [hunter2-hunter2, 5, true]}}
  store:
    type: file
    settings: {path: "${T}", max_bytes: 5MB}
"""


def test_a_config_shows_no_secret() -> None:
    made = parse(CONFIG, "/etc/turnout/c.yaml", {"T": SECRET})
    shown = masked(made)
    for text in (repr(made), str(made), json.dumps(shown)):
        assert SECRET not in text
    assert made.admin.token.get_secret_value() == SECRET
    assert made.destinations["other"].settings["url"] == f"https://x/{SECRET}"
    assert shown["admin"]["token"] == "***"
    assert shown["sources"]["web"]["write_key"] == "wk_public"
    assert shown["destinations"]["hook"]["settings"] == {
        "webhook_url": "https://***@hooks.example/x?token=***",
        "headers": {"Authorization": "***", "X-Literal": "***"},
    }
    assert shown["destinations"]["other"]["settings"] == {
        "url": "***", "key": "***", "deep": {"list": ["***", "***", True]},
    }
    assert shown["destinations"]["store"]["settings"] == {"path": "***", "max_bytes": "5MB"}
    assert shown["data"] == "/etc/turnout/data"
    assert shown["log"]["retention"] == "7d"


def test_interpolated_text_is_text_but_for_its_repr() -> None:
    text = Interpolated(SECRET)
    assert text == SECRET
    assert (hash(text), f"{text}", text + "!") == (hash(SECRET), SECRET, SECRET + "!")
    assert repr({"k": text}) == "{'k': '***'}"
    assert json.loads(json.dumps(text)) == SECRET


class Careless(Settings):
    """Settings whose own validators quote what they refuse."""

    token: SecretStr = Field(description="A secret.")
    region: str = Field("eu", description="Not one.")
    nested: dict[str, SecretStr] = Field({}, description="Secrets by name.")
    mode: Literal["fast", "slow"] = "fast"
    either: int | list[int] = 0

    @field_validator("token", mode="after")
    @classmethod
    def _quote(cls, value: SecretStr) -> SecretStr:
        raise ValueError(f"{value.get_secret_value()} is no token")

    @field_validator("region")
    @classmethod
    def _region(cls, value: str) -> str:
        if value != "eu":
            raise ValueError(f"there is no region {value}")
        return value

    @field_validator("nested", mode="before")
    @classmethod
    def _nested(cls, value: object) -> object:
        raise ValueError(f"{value!r} is not good")


def told(text: str, environ: dict[str, str]) -> list[str]:
    report = Report("c")
    root = compose(text, report)
    assert root is not None
    interpolate(root, environ, Path(), report)
    entry = root.entries["settings"]
    with pytest.raises(ValidationError) as caught:
        Careless.model_validate(plain(entry.node))
    tell(caught.value, Careless, ("d",), entry, report, word="setting")
    return [str(d) for d in report.diagnostics()]


def test_a_validator_that_quotes_a_secret_is_not_quoted() -> None:
    text = (
        "settings:\n  token: hunter2-hunter2\n  region: ${T}\n  nested: {a: hunter2-hunter2}\n"
        "  mode: ${T}\n  either: [x]\n"
    )
    assert told(text, {"T": SECRET}) == [
        "c:2:10: d.token: is not valid",
        "c:3:11: d.region: is not valid",
        "c:4:3: d.nested: is not valid",
        "c:5:9: d.mode: must be 'fast' or 'slow'",
        "c:6:12: d.either[0]: must be a whole number",
    ]
    assert told("settings: {token: x, region: us, either: {}}\n", {}) == [
        "c:1:19: d.token: x is no token",  # one letter proves nothing
        "c:1:30: d.region: there is no region us",
        "c:1:42: d.either: must be a whole number or a list",
    ]


TEMPLATES = [
    "server: {{port: {v}, host: {v}, trusted_proxies: [{v}]}}",
    "log: {{retention: {v}, max_bytes: {v}}}\ndata: {v}\nprocesses: {{transform: {v}}}",
    "sources: {{web: {{write_key: {v}, enabled: {v}, rate: {v}, origins: [{v}]}}}}",
    "destinations: {{d: {{type: {v}, sources: [{v}], transformation: {v}, was: {v}}}}}",
    "destinations: {{d: {{type: {v}, start: {v}, name: {v}, enabled: {v}}}}}",
    "destinations: {{d: {{type: webhook, settings: {{webhook_url: {v}, method: {v}, headers: {v}}}}}}}",
    "destinations: {{d: {{type: webhook, settings: {{webhook_url: {v}, headers: {{Host: {v}, X: {v}}}}}}}}}",
    "destinations: {{d: {{type: file, settings: {{path: {v}, max_bytes: {v}}}, delivery: {{batch: {v}}}}}}}",
    "transformations: {{t: {{file: {v}, language: {v}, timeout: {v}, memory: {v}}}}}\ndiscard: [{v}]",
    "server: {{tls: {{certificate: {v}, key: {v}}}}}\nlibraries: {{l: {{file: {v}}}}}",
]


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(TEMPLATES),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12).map(lambda t: f"sec≈{t}≈ret"),
)
def test_no_diagnostic_shows_what_was_interpolated(template: str, secret: str) -> None:
    folder = Path(__file__).parent
    text = template.format(v='"${T}"')
    try:
        made = parse(text, str(folder / "c.yaml"), {"T": secret})
    except InvalidConfig as error:
        said = str(error)
    else:
        said = repr(made) if "destinations" in text else ""
    for form in (secret, repr(secret)[1:-1], secret.encode("unicode_escape").decode()):
        assert form not in said


def test_check_shows_no_secret_of_settings(tmp_path: Path) -> None:
    for template in TEMPLATES:
        (tmp_path / "c.yaml").write_text(template.format(v='"${T}"'))
        found = "\n".join(str(d) for d in check(tmp_path / "c.yaml", {"T": SECRET}))
        assert SECRET not in found


def test_the_fingerprint_knows_secrets_and_shows_none() -> None:
    def of(text: str, secret: str = SECRET) -> str:
        return fingerprint(parse(text, "/x/c.yaml", {"T": secret}))

    assert of(CONFIG) == of(CONFIG) == of("# a comment\n" + CONFIG)
    assert len(of(CONFIG)) == 16
    assert of(CONFIG) != of(CONFIG, "another")
    assert of(CONFIG) != of(CONFIG.replace("wk_public", "wk_other"))
    assert of(CONFIG) != fingerprint(parse(CONFIG, "/y/c.yaml", {"T": SECRET}))
    assert of("admin: {token: a}") != of("admin: {token: b}")
    assert of("server: {port: 8080}") == of("{}")


def test_the_fingerprint_is_the_same_in_every_process() -> None:
    program = (
        "import sys; from dataplane.config import fingerprint, parse;"
        "print(fingerprint(parse(sys.stdin.read(), '/x/c.yaml', {'T': 'hunter2-hunter2'})))"
    )
    printed = [
        subprocess.run(
            [sys.executable, "-c", program], input=CONFIG, text=True, check=True, capture_output=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout.strip()
        for seed in ("1", "2")
    ]
    assert printed == [fingerprint(parse(CONFIG, "/x/c.yaml", {"T": SECRET}))] * 2


def test_load_reads_the_environment_of_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNOUT_TEST_TOKEN", SECRET)
    (tmp_path / "c.yaml").write_text("admin: {token: '${TURNOUT_TEST_TOKEN}'}\n")
    assert load(tmp_path / "c.yaml").admin.token.get_secret_value() == SECRET
