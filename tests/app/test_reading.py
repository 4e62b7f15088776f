"""What the app read, what it hands to a role, and what differs between two readings."""

from __future__ import annotations

from pathlib import Path

import pytest

from dataplane.app.reading import changed, difference, read
from dataplane.config import parse

CONFIG = """\
server: {drain: 5s}
sources: {web: {write_key: k}}
transformations: {mark: {file: mark.py}, other: {file: other.py}}
libraries: {names: {file: names.py}}
library_folders: [shared]
destinations:
  crm: {type: webhook, settings: {webhook_url: "https://x.example/${file:key}"}, transformation: mark}
  disk: {type: file, settings: {path: out}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shared").mkdir()
    for name in ("mark.py", "other.py"):
        (tmp_path / name).write_text("def transformEvent(event, metadata):\n    return event\n")
    for name in ("names.py", "shared/dates.py"):
        (tmp_path / name).write_text("x = 1\n")
    (tmp_path / "key").write_text("secret-value\n")
    (tmp_path / "config.yaml").write_text(CONFIG)
    return tmp_path


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("config.yaml", CONFIG, []),
        ("config.yaml", "# another comment\n" + CONFIG, []),
        ("config.yaml", CONFIG.replace("5s", "6s"), ["server.drain"]),
        ("config.yaml", CONFIG.replace("web:", "app:"), ["sources.app", "sources.web"]),
        ("config.yaml", CONFIG.replace("path: out", "path: in"), ["destinations.disk"]),
        ("config.yaml", CONFIG + "discard: [old]\n", ["discard"]),
        ("config.yaml", CONFIG.replace(", other: {file: other.py}", ""), ["transformations.other"]),
        ("key", "another", ["destinations.crm"]),
        ("key", "secret-value", []),
        ("mark.py", "x = 2\n", ["transformations.mark"]),
        ("names.py", "x = 2\n", ["libraries.names"]),
        ("shared/dates.py", "x = 2\n", ["libraries.dates"]),
        ("shared/new.py", "x = 2\n", ["libraries.new"]),
    ],
)
def test_what_differs_is_named(folder: Path, file: str, text: str, said: list[str]) -> None:
    before = read(folder / "config.yaml")
    (folder / file).write_text(text)
    after = read(folder / "config.yaml")
    assert changed(before, after) == changed(after, before) == said


def test_what_is_new_and_what_is_gone_is_told_apart(folder: Path) -> None:
    before = read(folder / "config.yaml")
    text = CONFIG.replace("web:", "app:").replace("path: out", "path: in").replace(", other: {file: other.py}", "")
    (folder / "config.yaml").write_text(text + "  more: {type: file, settings: {path: x}}\n")
    (folder / "shared" / "new.py").write_text("x = 1\n")
    told = difference(before, read(folder / "config.yaml"))
    assert told["added"] == ["destinations.more", "libraries.new", "sources.app"]
    assert told["removed"] == ["sources.web", "transformations.other"]
    assert set(told["changed"]) - {*told["added"], *told["removed"]} == {"destinations.disk"}


def test_a_role_needs_no_file_of_a_secret(folder: Path) -> None:
    reading = read(folder / "config.yaml")
    told = reading.told(folder / "config.yaml", scripts=False)
    (folder / "key").unlink()
    assert parse(told["text"], told["file"], files=told["secrets"]) == reading.config
    assert "scripts" not in told
    assert "secret-value" not in repr(reading)
