"""`turnout backup` of a plane under load, and what comes out of `turnout restore`."""

from __future__ import annotations

import gzip
import io
import json
import os
import sqlite3
import stat
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench.load import Apart, Numbered, number_of
from bench.plane import Plane, turnout
from bench.sink import Sink
from dataplane.app.backup import backup
from dataplane.app.bundle import MANIFEST, Entry, Manifest, _zstd
from dataplane.app.folders import make_folders
from dataplane.app.restore import restore
from dataplane.deliver.schema import STEPS
from dataplane.pipeline.ids import MessageIds
from tests.app.test_app_run import until
from turnout.errors import Fixable, FormatError

CONFIG = """\
server: {{port: 0}}
admin: {{port: 0}}
egress: {{allow_private: true}}
log: {{segment_bytes: 200kB, retention: 0s}}
sources: {{web: {{write_key: wk_a}}}}
destinations: {{hook: {{type: webhook, settings: {{webhook_url: "{url}/"}}}}}}
"""


def silent(done: int, total: int) -> None:
    assert 0 <= done <= total


def nothing() -> None:
    raise AssertionError("nothing runs, so nobody is asked")


def cli(plane: Plane, *words: str) -> subprocess.CompletedProcess[str]:
    command = [turnout(), *words, "--config", str(plane.config)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def numbers(sink: Sink) -> set[int]:
    return {number_of(arrival.json) for arrival in list(sink.arrivals)}


def done(plane: Plane) -> bool:
    """Everything has its verdict, and the sums hold."""
    status = plane.status()
    found: dict[str, int] = status["destinations"]["hook"]
    if found["pending"] or found["unread"] or status["position"] != status["head"]:  # what nobody numbered yet
        return False
    ended = sum(found[what] for what in ("delivered", "filtered", "dead"))
    assert status["sources"]["web"]["unique"] + found["born"] == ended
    return True


def test_nothing_acknowledged_before_a_backup_under_load_is_lost(
    data_plane: Callable[..., Plane], sink: Sink, tmp_path: Path
) -> None:
    """Segments are deleted all the time meanwhile; what is sent again afterwards is no duplicate of what was lost."""
    first = data_plane(CONFIG.format(url=sink.url))
    target = tmp_path / "copy.tar.gz"
    with Apart() as load:
        running = load.drive(
            first.url, Numbered(first.url, "wk_a", by_connection=True), connections=8, first=0, seconds=6, keep=True
        )
        assert sink.wait(lambda s: len(s.arrivals) > 150)  # on a busy machine, too, before the load ends
        began = time.monotonic()
        made = cli(first, "backup", str(target), "--json")
        assert made.returncode == 0, made.stderr
        acknowledged = running.result(60).acknowledged
    first.kill()
    report = json.loads(made.stdout)
    assert report["size"] == target.stat().st_size
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.glob("*copy*")] == ["copy.tar.gz"]
    before = {number for number, at in acknowledged.items() if at < began}
    assert len(before) > 100

    with Sink() as other:
        second = Plane(tmp_path / "second", CONFIG.format(url=other.url))
        restored = cli(second, "restore", str(target), "--json")
        assert restored.returncode == 0, restored.stderr
        assert json.loads(restored.stdout)["files"] == report["files"]
        second.start()
        try:
            until(lambda: done(second))
            assert before <= numbers(sink) | numbers(other)
            with Apart() as load:
                again = load.drive(
                    second.url, Numbered(second.url, "wk_a", by_connection=True),
                    connections=8, first=0, count=max(acknowledged) + 1, keep=True,
                ).result(120)
            assert acknowledged.keys() <= again.acknowledged.keys()
            until(lambda: done(second))
            assert "sequence.damaged" not in second.output
        finally:
            second.stop()
    assert acknowledged.keys() <= numbers(sink) | numbers(other)


@pytest.fixture
def used(tmp_path: Path) -> Path:
    """A data folder as a stopped plane leaves it, in small."""
    data = tmp_path / "data"
    for folder in ("log/0/released", "log/0/wait", "sequence/ids", "state", "dead"):
        (data / folder).mkdir(parents=True)
    for name in ("lock", "admin.token", "log/0/head", "log/0/released/pipeline", "log/0/x.new", "log/0/lock"):
        (data / name).write_bytes(b"left out")
    (data / "log/0/00000000000000000000.log").write_bytes(b"segment")
    (data / "dead/00000001.dead").write_bytes(b"letters")
    db = sqlite3.connect(data / "state/pipeline.db")
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("CREATE TABLE t (x)")
    db.execute("INSERT INTO t VALUES (7)")
    db.commit()
    db.close()
    ids = MessageIds(data / "sequence/ids", window=60, max_ids=1000)
    ids.seen(b"d" * 16, 5, time.time())
    ids.close(5)
    return data


def test_a_stopped_folder_comes_back_as_it_was(used: Path, tmp_path: Path) -> None:
    made = backup(used, tmp_path / "a.tar.gz", settled=nothing, step=silent)
    found = restore(tmp_path / "a.tar.gz", tmp_path / "new", step=silent)
    assert (found.files, found.bytes) == (made.files, made.bytes)
    new = tmp_path / "new"
    names = {str(path.relative_to(new)) for path in new.rglob("*") if path.is_file()}
    assert names == {
        "log/0/00000000000000000000.log", "dead/00000001.dead", "state/pipeline.db", "sequence/ids/ids.json",
        "sequence/ids/00000000000000000005.ids",
    }
    assert (new / "dead/00000001.dead").read_bytes() == b"letters"
    assert sqlite3.connect(new / "state/pipeline.db").execute("SELECT x FROM t").fetchone() == (7,)
    ids = MessageIds(new / "sequence/ids", window=60, max_ids=1000)
    assert ids.find(b"d" * 16) == 5
    assert ids.missing_from == 6  # a copy is never trusted beyond its checkpoint
    for path in (new, *new.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_what_a_backup_refuses(used: Path, tmp_path: Path) -> None:
    (tmp_path / "there.tar.gz").write_text("precious")
    for target, said in (
        (tmp_path / "there.tar.gz", "exists"),
        (used / "inside.tar.gz", "lies in the data folder"),
        (tmp_path / "a.zip", "ends with .tar.gz or .tar.zst"),
        (tmp_path / "none" / "a.tar.gz", "No such file"),
    ):
        with pytest.raises(Fixable, match=said):
            backup(used, target, settled=nothing, step=silent)
    with pytest.raises(Fixable, match="nothing to back up"):
        backup(tmp_path / "nowhere", tmp_path / "b.tar.gz", settled=nothing, step=silent)
    assert (tmp_path / "there.tar.gz").read_text() == "precious"
    assert {path.name for path in tmp_path.iterdir()} == {"data", "there.tar.gz"}


@pytest.mark.parametrize("name", ["log", "state/pipeline.db"])
def test_what_stands_elsewhere_is_refused_and_not_left_out(used: Path, tmp_path: Path, name: str) -> None:
    """A folder that was moved to a larger disk and linked: its files would not be in the backup."""
    (used / name).rename(tmp_path / "elsewhere")
    (used / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Fixable, match="is a link"):
        backup(used, tmp_path / "copy.tar.gz", settled=nothing, step=silent)
    assert not (tmp_path / "copy.tar.gz").exists()


def test_zstd_or_a_sentence(used: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.tar.zst"
    if _zstd() is None:
        with pytest.raises(Fixable, match=r"backports\.zstd"):
            backup(used, target, settled=nothing, step=silent)
        return
    backup(used, target, settled=nothing, step=silent)
    assert restore(target, tmp_path / "new", step=silent).files == 5


def test_a_folder_that_is_not_empty_is_left_alone(used: Path, tmp_path: Path) -> None:
    backup(used, tmp_path / "a.tar.gz", settled=nothing, step=silent)
    before = {path: path.stat().st_mtime_ns for path in used.rglob("*")}
    with pytest.raises(Fixable, match="is not empty"):
        restore(tmp_path / "a.tar.gz", used, step=silent)
    assert {path: path.stat().st_mtime_ns for path in used.rglob("*")} == before
    (tmp_path / "fresh" / "lost+found").mkdir(parents=True)
    restore(tmp_path / "a.tar.gz", tmp_path / "fresh", step=silent)
    with pytest.raises(Fixable, match="does not exist"):
        restore(tmp_path / "none.tar.gz", tmp_path / "x", step=silent)


def test_a_copy_cut_anywhere_leaves_everything_as_it_was(used: Path, tmp_path: Path) -> None:
    (tmp_path / "there" / "empty").mkdir(parents=True)
    backup(used, tmp_path / "a.tar.gz", settled=nothing, step=silent)
    whole = (tmp_path / "a.tar.gz").read_bytes()
    bad = tmp_path / "bad.tar.gz"
    for length in range(0, len(whole), max(1, len(whole) // 40)):
        bad.write_bytes(whole[:length])
        for new in (tmp_path / "new" / "data", tmp_path / "there" / "data", tmp_path / "there" / "empty"):
            with pytest.raises(FormatError):
                restore(bad, new, step=silent)
    assert not (tmp_path / "new").exists()
    assert [path.name for path in (tmp_path / "there").rglob("*")] == ["empty"]


def test_a_folder_that_cannot_be_made_leaves_nothing(used: Path, tmp_path: Path) -> None:
    backup(used, tmp_path / "a.tar.gz", settled=nothing, step=silent)
    with pytest.raises(Fixable, match="cannot be written: File name too long"):
        restore(tmp_path / "a.tar.gz", tmp_path / "new" / ("n" * 300), step=silent)
    assert not (tmp_path / "new").exists()


def packed(path: Path, files: dict[str, bytes], manifest: dict[str, Any] | None, kind: bytes = tarfile.REGTYPE) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in [*files.items(), *([(MANIFEST, json.dumps(manifest).encode())] if manifest else [])]:
            info = tarfile.TarInfo(name)
            info.size, info.type = len(content), kind if name != MANIFEST else tarfile.REGTYPE
            tar.addfile(info, io.BytesIO(content))
    return path


def manifest(files: dict[str, bytes], **more: Any) -> dict[str, Any]:
    from hashlib import sha256

    entries = {name: Entry(len(text), sha256(text).hexdigest()) for name, text in files.items()}
    return {**msgspec.to_builtins(Manifest(files=entries)), **more}


def hostile() -> Iterator[tuple[str, dict[str, bytes], dict[str, Any] | None, bytes]]:
    good = {"log/0/x": b"abc"}
    yield "no manifest", good, None, tarfile.REGTYPE
    yield "is not what the manifest says", {"log/0/x": b"abd"}, manifest(good), tarfile.REGTYPE
    yield "is not what the manifest says", {**good, "more": b""}, manifest(good), tarfile.REGTYPE
    yield "newer Turnout", good, manifest(good, version=2), tarfile.REGTYPE
    yield "manifest is damaged", good, {"version": 1, "files": 3}, tarfile.REGTYPE
    yield "no backup of Turnout", {"../outside": b"x"}, manifest({"../outside": b"x"}), tarfile.REGTYPE
    yield "no backup of Turnout", {"/tmp/outside": b"x"}, manifest({"/tmp/outside": b"x"}), tarfile.REGTYPE
    yield "no backup of Turnout", {"link": b""}, manifest({"link": b""}), tarfile.SYMTYPE
    newer = {"state/pipeline.db": _database(len(STEPS) + 1)}
    yield "state of version", newer, manifest(newer), tarfile.REGTYPE
    broken = {"state/pipeline.db": b"no database at all" * 100}
    yield "state in the backup is damaged", broken, manifest(broken), tarfile.REGTYPE


def _database(version: int) -> bytes:
    db = sqlite3.connect(":memory:")
    db.execute(f"PRAGMA user_version={version}")
    return db.serialize()


@pytest.mark.parametrize(("said", "files", "listed", "kind"), list(hostile()))
def test_what_is_no_backup_of_ours_is_refused(
    tmp_path: Path, said: str, files: dict[str, bytes], listed: dict[str, Any] | None, kind: bytes
) -> None:
    source = packed(tmp_path / "a.tar.gz", files, listed, kind)
    with pytest.raises(FormatError, match=said):
        restore(source, tmp_path / "new", step=silent)
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "outside").exists()


def test_a_bomb_of_zeros_is_read_a_piece_at_a_time(tmp_path: Path) -> None:
    source = tmp_path / "a.tar.gz"
    source.write_bytes(gzip.compress(bytes(50_000_000)))
    with pytest.raises(FormatError):
        restore(source, tmp_path / "new", step=silent)


def test_what_a_killed_restore_left_is_named(used: Path, tmp_path: Path) -> None:
    backup(used, tmp_path / "a.tar.gz", settled=nothing, step=silent)
    (tmp_path / "new" / ".restoring").mkdir(parents=True)
    with pytest.raises(Fixable, match="a killed one left"):
        restore(tmp_path / "a.tar.gz", tmp_path / "new", step=silent)
    (tmp_path / "new" / "log").mkdir()  # a part of it was in its place already
    with pytest.raises(Fixable, match="a killed one left"):
        restore(tmp_path / "a.tar.gz", tmp_path / "new", step=silent)
    with pytest.raises(Fixable, match="a killed one left"):
        make_folders(tmp_path / "new")


def test_a_restore_that_is_interrupted_leaves_no_part(
    used: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup(used, tmp_path / "a.tar.gz", settled=nothing, step=silent)
    rename = Path.rename

    def interrupted(path: Path, to: Path) -> Path:
        if path.name == "state":
            raise KeyboardInterrupt
        return rename(path, to)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        restore(tmp_path / "a.tar.gz", tmp_path / "new", step=silent)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("what", ["backup", "restore"])
def test_a_copy_that_is_ended_by_sigterm_leaves_nothing(used: Path, tmp_path: Path, what: str) -> None:
    copy, new = tmp_path / "a.tar.gz", tmp_path / "new"
    if what == "restore":
        backup(used, copy, settled=nothing, step=silent)
    config = tmp_path / "config.yaml"
    config.write_text(f"data: {used if what == 'backup' else new}\n")
    program = (
        "import os, signal\nfrom pathlib import Path\nfrom dataplane.app import backup, restore\n"
        f"from dataplane.cli.main import main\nwork = {what}.{what}\n"
        "def ended(*given, **named):\n"
        "    step = lambda done, total: os.kill(os.getpid(), signal.SIGTERM)\n"
        "    return work(*given, **{**named, 'step': step})\n"
        f"{what}.{what} = ended\nmain(['{what}', '--config', r'{config}', r'{copy}'])\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (143, "")
    assert sorted(path.name for path in tmp_path.iterdir() if path != used) == sorted(
        ["config.yaml"] + (["a.tar.gz"] if what == "restore" else [])
    )


def test_a_file_that_is_deleted_meanwhile_is_still_copied(used: Path, tmp_path: Path) -> None:
    from dataplane.app.backup import _Pins

    with _Pins(used) as pins:
        pins.take()
        (used / "dead/00000001.dead").unlink()
        pins.take()
        piece = pins.piece("dead/00000001.dead")
        assert os.pread(piece.file, piece.size, 0) == b"letters"
        new = used / "dead/new"
        new.write_bytes(b"another")
        new.rename(used / "dead/00000001.dead")
        pins.take()
        piece = pins.piece("dead/00000001.dead")
        assert os.pread(piece.file, piece.size, 0) == b"another"
