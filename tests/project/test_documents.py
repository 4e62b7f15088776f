"""What README and docs say is so: links, commands, settings, examples."""

from __future__ import annotations

import re
import shlex
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

import turnout
from bench.plane import Plane
from bench.plane import turnout as program
from bench.sink import Sink
from dataplane.cli.main import app
from dataplane.config import parse
from dataplane.config.model import Config
from tests.project.checkout import ROOT, blocks, commands, files

DOCUMENTS = files("*.md")
LINK = re.compile(r"\[[^\]]*\]\((?!https?://|mailto:)([^)\s]+)\)")
CONFIG = """\
server: {{host: 127.0.0.1, port: 0}}
admin: {{host: 127.0.0.1, port: 0}}
data: ./data
egress: {{allow_private: true}}
sources: {{website: {{write_key: wk_demo}}}}
destinations: {{hook: {{type: webhook, settings: {{webhook_url: "{url}/"}}}}}}
"""


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def anchors(document: Path) -> set[str]:
    """GitHub's anchors of a document's headings."""
    headings = re.findall(r"^#+ +(.+?)\s*$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_link_inside_the_repository_leads_somewhere(document: Path) -> None:
    for link in LINK.findall(document.read_text()):
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), f"{link} does not exist"
        assert not anchor or anchor in anchors(target), f"{link}: no such heading"


def test_the_architecture_names_every_decision() -> None:
    told = set(LINK.findall((ROOT / "docs" / "architecture.md").read_text()))
    made = {f"decisions/{path.name}" for path in (ROOT / "docs" / "decisions").glob("*.md")}
    assert made <= told


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_make_target_that_is_named_exists(document: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {word for line in commands(document, "make") for word in line.split()[1:] if word.isalpha()}
    named |= set(re.findall(r"`make ([a-z]+)", document.read_text()))
    assert named <= targets


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_turnout_command_that_is_shown_exists_with_its_options(document: Path) -> None:
    for line in commands(document, "turnout"):
        command: Any = typer.main.get_command(app)
        for word in shlex.split(line)[1:]:
            if hasattr(command, "commands") and not word.startswith("-"):
                assert word in command.commands, line
                command = command.commands[word]
            elif word.startswith("-"):
                options = {o for p in command.params for o in (*p.opts, *p.secondary_opts)} | {"--help", "-h"}
                assert word.partition("=")[0] in options, line


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_python_block_is_python(document: Path) -> None:
    for text in blocks(document, "python"):
        compile(text, name(document), "exec")


@pytest.mark.parametrize("document", [d for d in DOCUMENTS if d.parent in (ROOT, ROOT / "docs")], ids=name)
def test_every_yaml_block_is_a_config_that_is_taken(document: Path) -> None:
    for text in blocks(document, "yaml"):
        read = yaml.safe_load(text)
        if isinstance(read, dict) and read.keys() & Config.model_fields.keys():  # others are fixtures
            parse(text, name(document), dict.fromkeys(re.findall(r"\$\{([A-Z_]+)\}", text), "set"))


def test_the_readmes_curl_line_sends_an_event(
    data_plane: Callable[[str], Plane], sink: Sink
) -> None:
    """The line is taken apart rather than run: curl is not on every machine."""
    (line,) = commands(ROOT / "README.md", "curl")
    words = shlex.split(line)[1:]
    options = {flag: words[at + 1] for at, flag in enumerate(words) if flag in ("-u", "-H", "-d")}
    (url,) = (word for word in words if word.startswith("http"))
    user, _, password = options["-u"].partition(":")
    plane = data_plane(CONFIG.format(url=sink.url))

    passwords = urllib.request.HTTPPasswordMgrWithPriorAuth()
    passwords.add_password(None, plane.url, user, password, is_authenticated=True)
    opener = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(passwords))
    target = url.replace("http://127.0.0.1:8080", plane.url)
    header, _, value = options["-H"].partition(": ")
    with opener.open(urllib.request.Request(target, options["-d"].encode(), {header: value})) as answer:
        assert answer.status == 200

    assert sink.wait(lambda s: bool(s.events))
    assert sink.events[0]["event"] == "Order Completed"
    assert sink.events[0]["properties"] == {"total": 42.5}


def test_the_quickstarts_change_of_the_script_passes_its_fixtures(tmp_path: Path) -> None:
    """What the page adds to the starter's script and fixtures, in the folder that `turnout init` makes."""
    def ran(word: str) -> tuple[int, str]:
        made = subprocess.run([program(), word], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
        return made.returncode, made.stdout

    assert ran("init")[0] == 0
    (script,) = blocks(ROOT / "docs/quickstart.md", "python")
    (case,) = (text for text in blocks(ROOT / "docs/quickstart.md", "yaml") if text.startswith("  - name:"))
    (tmp_path / "examples/transformations/drop_internal.py").write_text(script)
    fixtures = tmp_path / "examples/transformations/drop_internal.test.yaml"
    before = fixtures.read_text()
    fixtures.write_text(before + case)
    code, said = ran("test")
    assert (code, said.splitlines()[-1]) == (0, "3 of 3 cases passed")


def test_the_changelog_speaks_of_this_version() -> None:
    assert f"## {turnout.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_licence_is_apache_2_in_full() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License\n                           Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_a_decision_has_a_number_of_its_own() -> None:
    files = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    numbers = [int(file.name[:4]) for file in files]
    assert len(set(numbers)) == len(numbers)
    for file, number in zip(files, numbers, strict=True):
        assert file.read_text(encoding="utf-8").startswith(f"# {number}. "), file.name
