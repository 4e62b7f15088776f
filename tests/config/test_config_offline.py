"""What `check` verifies beyond the file: scripts, certificates, plug-ins, hooks; and `connection`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataplane.config import Config, Finding, InvalidConfig, check, connection, load, parse
from turnout.errors import ScriptError

GOOD = "sources: {web: {write_key: k}}\n"


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def said(text: str, **environ: str) -> list[str]:
    Path("c.yaml").write_text(text)
    return [str(d) for d in check("c.yaml", environ)]


def test_script_files_are_there_and_readable() -> None:
    Path("folder").mkdir()
    Path("latin.py").write_bytes(b"# \xe9\n")
    Path("large.py").write_bytes(b"#" * ((1 << 20) + 1))
    Path("good.py").write_text("x = 1\n")
    Path("script").write_text("x = 1\n")
    names = ("good.py", "none.py", "folder", "latin.py", "large.py", "script", "good.py/x.py")
    text = GOOD + "transformations:\n" + "".join(f"  t{i}: {{file: {n}}}\n" for i, n in enumerate(names))
    unknown = "the suffix does not tell the language; add `language:` (python, javascript)"
    assert said(text + "libraries: {l: {file: script, language: python}}\n") == [
        "c.yaml:4:14: transformations.t1.file: this file does not exist",
        f"c.yaml:5:14: transformations.t2.file: {unknown}",
        "c.yaml:5:14: transformations.t2.file: this is not a regular file",
        "c.yaml:6:14: transformations.t3.file: this file is not UTF-8",
        "c.yaml:7:14: transformations.t4.file: this file is larger than 1048576 bytes",
        f"c.yaml:8:14: transformations.t5.file: {unknown}",
        "c.yaml:9:14: transformations.t6.file: this file does not exist",
    ]


def test_the_data_folder_is_no_file() -> None:
    Path("data").write_text("")
    assert said(GOOD + "data: ./data\n") == [
        "c.yaml:2:7: data: this is a file; Turnout keeps its data in a folder"
    ]


@pytest.mark.parametrize(
    ("given", "ours"),
    [("BRAZE", "braze"), ("Braze", "braze"), ("HS", "hubspot"), ("GA4_V2", "ga4"), ("wehbook", "webhook")],
)
def test_a_type_by_the_peers_name_is_told_ours(given: str, ours: str) -> None:
    text = GOOD + f"destinations:\n  crm: {{type: {given}}}\n"
    assert f"c.yaml:3:15: destinations.crm.type: unknown destination type (did you mean {ours}?)" in said(text)


def test_the_socket_path_fits_into_an_address() -> None:
    long = "/" + "d" * 120
    assert said(GOOD + f"data: {long}\n") == [
        "c.yaml:2:7: admin.socket: the path of a socket has at most 103 bytes, this one has 132"
    ]
    assert said(GOOD + f"data: {long}\nadmin: {{socket: /run/turnout.sock}}\n") == []


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def test_the_certificate_is_tried() -> None:
    for name in ("key.pem", "other.pem"):
        _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-out", name)
    _openssl("req", "-x509", "-key", "key.pem", "-out", "cert.pem", "-days", "1", "-subj", "/CN=t.example")
    _openssl("pkey", "-in", "key.pem", "-out", "locked.pem", "-aes256", "-passout", "pass:secret")

    def tried(certificate: str, key: str) -> list[str]:
        return said(f"{GOOD}server:\n  tls:\n    certificate: {certificate}\n    key: {key}\n")

    assert tried("cert.pem", "key.pem") == []
    assert tried("cert.pem", "other.pem") == [
        "c.yaml:5:10: server.tls.key: this key does not belong to the certificate"
    ]
    assert tried("none.pem", "key.pem") == [
        "c.yaml:4:18: server.tls.certificate: this file does not exist"
    ]
    unusable = "server.tls.key: certificate and key cannot be used: both must be PEM, the key open"
    for pair in (("c.yaml", "key.pem"), ("cert.pem", "locked.pem")):
        assert tried(*pair) == [f"c.yaml:5:10: {unusable}"]


def test_the_file_of_places_is_opened() -> None:
    text = GOOD + "geolocation: {database: city.mmdb}\n"
    (missing,) = said(text)
    assert missing.endswith("geolocation.database: this file does not exist")
    Path("city.mmdb").write_text("no")
    (broken,) = said(text)
    assert "geolocation.database: this MaxMind file cannot be read: " in broken


def test_a_config_without_sources_is_a_warning() -> None:
    assert said("data: d\n") == ["c.yaml:1:1: sources: warning: there is no source; nothing can be sent here"]
    assert said("data: d\nsources: {}\n") == [
        "c.yaml:2:1: sources: warning: there is no source; nothing can be sent here"
    ]
    assert load("c.yaml", {}).sources == {}


def test_hooks_run_on_good_configs_and_their_findings_have_places() -> None:
    def compile_scripts(config: Config) -> Iterator[Finding]:
        for name, script in config.transformations.items():
            yield Finding(("transformations", name), ScriptError("invalid syntax", file=str(script.file.name), line=3))
            yield Finding(("transformations", name, "file"), ScriptError("no transformEvent"))
        yield Finding(("discard", 0), "seen")
        yield Finding(("nowhere", "at", "all"), "seen", "warning")

    Path("t.py").write_text("x = 1\n")
    Path("c.yaml").write_text(GOOD + "discard: [old]\ntransformations:\n  t: {file: t.py}\n")
    assert [str(d) for d in check("c.yaml", {}, hooks=[compile_scripts])] == [
        "c.yaml:1:1: nowhere.at.all: warning: seen",
        "c.yaml:2:11: discard[0]: seen",
        "c.yaml:4:13: transformations.t.file: no transformEvent",
        "t.py:3: transformations.t: invalid syntax",
    ]
    Path("c.yaml").write_text(GOOD + "server: {port: x}\n")
    assert len(check("c.yaml", {}, hooks=[compile_scripts])) == 1


def test_a_missing_extra_is_told_with_the_line_that_installs_it() -> None:
    """A plug-in found through its entry point whose module needs a package that is not there."""
    Path("needy.py").write_text("import package_that_is_not_there\n")
    dist = Path("needy_destination-1.0.dist-info")
    dist.mkdir()
    (dist / "METADATA").write_text("Metadata-Version: 2.1\nName: needy-destination\nVersion: 1.0\n")
    (dist / "entry_points.txt").write_text("[turnout.destinations]\nneedy = needy:Needy\n")
    Path("c.yaml").write_text(
        GOOD + "destinations:\n  a: {type: needy}\n  b: {type: file}\n  c: {type: nedy}\n"
    )
    program = "from dataplane.config import check\nfor d in check('c.yaml', {}): print(d)"
    ran = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((".", str(Path(__file__).parents[2])))},
    )
    lines = ran.stdout.splitlines()
    assert lines[0].startswith("c.yaml:3:13: destinations.a.type: ")
    assert "package_that_is_not_there" in lines[0]
    assert lines[1:] == [
        "c.yaml:4:3: destinations.b.settings.path: required, but not given",
        "c.yaml:5:13: destinations.c.type: unknown destination type (did you mean needy?)",
    ]


def test_a_command_needs_only_the_sections_it_uses() -> None:
    Path("c.yaml").write_text(
        "data: state\nadmin: {token: \"${ADMIN:-}\"}\nserver: {port: 9090}\n"
        "sources: {web: {write_key: \"${KEY}\"}}\n"
        "destinations: {crm: {type: gone, settings: {token: \"${CRM}\"}, transformation: gone}}\n"
    )
    made = connection("c.yaml", {})
    assert (made.server.port, made.data) == (9090, Path.cwd() / "state")
    assert made.admin.socket == Path.cwd() / "state" / "admin.sock"
    assert made.destinations == {}
    with pytest.raises(InvalidConfig):
        load("c.yaml", {})
    Path("c.yaml").write_text("admin: {port: x}\n")
    with pytest.raises(InvalidConfig, match=r"c\.yaml:1:15: admin\.port: must be a whole number"):
        connection("c.yaml", {})
    with pytest.raises(InvalidConfig, match=r"none\.yaml: this file does not exist"):
        connection("none.yaml", {})


def test_a_rehearsal_is_a_warning_with_its_place() -> None:
    text = "sources: {a: {write_key: k}}\negress:\n  stand_ins:\n    Track.Customer.io: http://127.0.0.1:9001/\n"
    (line,) = said(text)
    assert line.endswith("warning: what is for track.customer.io goes to http://127.0.0.1:9001 instead")
    assert load("c.yaml", {}).egress.stand_ins == {"track.customer.io": "http://127.0.0.1:9001"}


@pytest.mark.parametrize("host", ["Track.Customer.io.", "track.customer.io.", "TRACK.customer.io"])
def test_a_host_is_the_same_however_it_is_written(host: str) -> None:
    text = f"egress: {{stand_ins: {{{host}: 'http://127.0.0.1:9001'}}}}\n"
    assert parse(text, "c.yaml", {}).egress.stand_ins == {"track.customer.io": "http://127.0.0.1:9001"}
    text = f"transformations: {{t: {{file: t.py, fetch: {{allow: ['{host}', '*.{host}']}}}}}}\n"
    allowed = parse(text, "c.yaml", {}).transformations["t"].fetch.allow
    assert allowed == ["track.customer.io", "*.track.customer.io"]


def test_a_host_that_is_named_twice_is_an_error() -> None:
    servers = "a.example: 'http://b.example', A.example.: 'http://c.example'"
    (line,) = said(f"sources: {{a: {{write_key: k}}}}\negress: {{stand_ins: {{{servers}}}}}\n")
    assert line.endswith("egress.stand_ins: a.example stands here more than once, written in several ways")


@pytest.mark.parametrize("pair", [
    "a.example..: http://b.example", "https://a.example: http://b.example", "a.example/x: http://b.example",
    "a.example: b.example", "a.example: http://b.example/x", "a.example: http://u:p@b.example", "a.example: ftp://b.example",
    "a.example: 'http://b.example:x'",
])
def test_a_stand_in_is_a_host_and_a_server(pair: str) -> None:
    (line,) = said(f"sources: {{a: {{write_key: k}}}}\negress:\n  stand_ins:\n    {pair}\n")
    assert "egress.stand_ins" in line
    assert "u:p" not in line
