"""Folders of libraries: what counts as one, what is wrong with them, and that scripts have them."""

from __future__ import annotations

from pathlib import Path

from dataplane.config import check, load
from dataplane.config.files import named
from dataplane.pipeline.scripts import read_scripts

CONFIG = """\
sources: {web: {write_key: k}}
libraries: {tools: {file: own.py}}
library_folders: [libs, more]
transformations: {t: {file: t.py}}
"""


def folder(path: Path) -> Path:
    for name in ("libs", "more", "libs/below.py"):
        (path / name).mkdir()
    texts = {
        "config.yaml": CONFIG, "own.py": "x = 0", "t.py": "", "libs/emails.py": "x = 1", "libs/My helper.js": "x = 2",
        "libs/_private.py": "", "libs/.hidden.js": "", "libs/notes.md": "", "more/emails.mjs": "x = 3",
    }  # fmt: skip
    for name, text in texts.items():
        (path / name).write_text(text)
    return path / "config.yaml"


def test_every_file_of_a_folder_is_a_library_by_its_name(tmp_path: Path) -> None:
    config = folder(tmp_path)
    assert check(config) == []
    libraries = read_scripts(load(config))["t"].libraries
    assert {(one.name, one.language, one.source) for one in libraries} == {
        ("tools", "python", "x = 0"), ("emails", "python", "x = 1"), ("My helper", "javascript", "x = 2"),
        ("emails", "javascript", "x = 3"),
    }  # fmt: skip
    names = ("config.yaml", "own.py", "t.py", "t.test.yaml", "libs", "more", "libs/emails.py", "libs/My helper.js",
             "more/emails.mjs")  # fmt: skip
    assert named(config) == {tmp_path / name for name in names}


def test_a_version_is_of_the_libraries_of_its_language(tmp_path: Path) -> None:
    config = folder(tmp_path)
    before = read_scripts(load(config))["t"].version
    (tmp_path / "more/new.js").write_text("x = 4")
    assert read_scripts(load(config))["t"].version == before
    (tmp_path / "more/new.py").write_text("x = 4")
    assert read_scripts(load(config))["t"].version != before


def test_what_is_wrong_with_a_folder(tmp_path: Path) -> None:
    config = folder(tmp_path)
    (tmp_path / "more/tools.py").write_text("")
    (tmp_path / "more/no name.py").write_text("")
    (tmp_path / "more/emails.js").write_bytes(b"\xff")
    config.write_text(CONFIG.replace("more]", "more, gone, own.py]"))
    said = [str(finding).removeprefix(f"{config}:") for finding in check(config)]
    assert said == [
        "3:25: library_folders[1]: emails.js is not UTF-8",
        f"3:25: library_folders[1]: emails.mjs: {tmp_path / 'more/emails.js'} has the same name",
        "3:25: library_folders[1]: no name.py: scripts import it by this name; it must be a Python identifier",
        "3:25: library_folders[1]: tools.py: libraries.tools has the same name",
        "3:31: library_folders[2]: this folder does not exist",
        "3:37: library_folders[3]: this folder cannot be read: Not a directory",
    ]
