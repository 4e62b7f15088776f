"""Another number of pipeline processes: what is still to be done moves with its lane, whatever dies meanwhile."""

from __future__ import annotations

import os
import shutil
import sqlite3
from array import array
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane.deliver import layout
from dataplane.deliver.dead import DeadLetter, dead_segments, pack
from dataplane.deliver.index import DEAD, Filter, Index, Row, place
from dataplane.deliver.job_state import JobRow, stored_jobs
from dataplane.deliver.moving import JobLanes, Kept, owner, plan
from dataplane.deliver.pausing import Refused
from dataplane.deliver.retention import overfull
from dataplane.deliver.state import Changes, DestinationRow, ExceptionRow, State
from dataplane.log.retention import Release, released
from dataplane.pipeline.share import LANES, Share
from turnout.errors import Fixable

COUNTS = st.integers(1, 7)


def row(ident: str, cursors: list[int], active: float = 0.0, refused: Refused | None = None) -> DestinationRow:
    return DestinationRow(ident, min(cursors), array("Q", cursors), active, refused)


@st.composite
def states(draw: st.DrawFn) -> list[Kept]:
    old = draw(COUNTS)
    names = draw(st.lists(st.sampled_from(["crm", "hook", "ads"]), unique=True, max_size=3))
    chance = Random(draw(st.integers(0, 1 << 32)))
    found: list[Kept] = []
    for process in range(old):
        cursors = {name: [chance.randrange(1, 1 << 40) for _ in range(LANES)] for name in names}
        rows = {name: row(name, cursors[name], chance.random()) for name in names}
        jobs: list[JobLanes] = []
        if names:
            share = Share(process, old)
            lanes = st.frozensets(st.integers(share.first, share.end - 1), max_size=3)
            jobs = [JobLanes(n, names[0], draw(lanes)) for n in range(draw(st.integers(0, 2)))]
        found.append(Kept(rows, jobs))
    return found


@settings(max_examples=60, deadline=None)
@given(states(), COUNTS)
def test_every_lane_keeps_its_cursor_every_event_its_age_and_every_job_is_whole(kept: list[Kept], to: int) -> None:
    old = len(kept)
    try:
        taken = plan(kept, to)
    except Fixable as error:
        assert any(len({owner(lane, to) for lane in job.lanes}) > 1 for one in kept for job in one.jobs)
        assert f"`pipeline: {old}`" in str(error)
        assert to > 1, "one process takes everything"
        return
    assert [one.share for one in taken] == [Share(process, to) for process in range(to)]
    for lane in range(LANES):
        before, after = kept[owner(lane, old)], taken[owner(lane, to)]
        for moved in after.rows:
            was = before.destinations[moved.id]
            assert moved.cursors[lane] == was.cursors[lane]
            assert moved.position == min(moved.cursors) <= was.cursors[lane]
            shift = after.shifts[owner(lane, old), moved.id]
            assert was.active + shift == pytest.approx(moved.active)
    jobs = [(process, job) for process, one in enumerate(kept) for job in one.jobs]
    assert sorted(job for one in taken for job in one.jobs) == sorted((process, job.id) for process, job in jobs)
    for process, job in jobs:
        has = next(one for one in taken if (process, job.id) in one.jobs)
        assert all(has.share.has(lane) for lane in job.lanes)


def test_what_refuses_us_refuses_all_that_take_its_lanes() -> None:
    cursors = [5] * LANES
    no = Refused("credentials", "HTTP 401", 7.0)
    kept = [Kept({"crm": row("crm", cursors, 10.0)}), Kept({"crm": row("crm", cursors, 30.0, no)})]
    assert [one.rows[0].refused for one in plan(kept, 1)] == [no]
    assert [one.rows[0].refused for one in plan(kept, 3)] == [None, no, no]


def test_a_process_that_has_not_begun_a_destination_must_do_so_first() -> None:
    kept = [Kept({"crm": row("crm", [5] * LANES)}), Kept()]
    with pytest.raises(Fixable, match=r"pipeline-1 has not begun destination crm.*`pipeline: 2`"):
        plan(kept, 3)


# ---- the files

KEY = 0xABCDEF0123456700


def put(home: Path, process: int, of: int, *, jobs: bool = False) -> None:
    """A state file as a process leaves it: an event put aside, one that waits behind it, and a dead letter, each of
    all its lanes."""
    state, files = State(home / "state/pipeline.db"), dead_segments(home)
    share, changes = Share(process, of), Changes()
    changes.destinations = [row("crm", [10 + lane for lane in range(LANES)], 100.0 * (process + 1))]
    changes.begin("crm", 3)
    for lane in range(share.first, share.end):
        common: dict[str, Any] = {"destination": "crm", "key": KEY + lane, "source": "web"}
        tried = ExceptionRow(number=1000 + lane, child=0, kind="tried", active=50.0 + process, attempts=2, **common)
        changes.put(tried, b"{}", None)
        changes.put(ExceptionRow(number=2000 + lane, child=-1, kind="waiting", **common), None, None)
        letter = pack(DeadLetter(b'{"lane":%d}' % lane, b"", f"m{lane}", 1))
        key = (KEY + lane).to_bytes(8, "little")
        index = ("crm", "web", lane, 0, key, 1.0 + lane, 400, "no", None, "rejected", "", f"m{lane}")
        changes.dead.append((index, letter))
    changes.counts = [("destination", "crm", "dead", share.end - share.first), ("destination", "crm", "delivered", 7)]
    if jobs:
        events = ((1000 + share.first, 0), (1000 + share.end - 1, 0))
        JobRow(1, "crm", "bulk", {"job": 1}, events, 1, 0.0, "").put(changes)
    changes.places.dead = files.append([payload for _, payload in changes.dead])
    changes.places.refused = []
    state.commit(changes)
    state.close()
    files.close()
    past = ("archive/00000001.arc", "journal/00000001.journal", "history/configs/a.json", "dead/lost-1/00000001.dead")
    for folder, _, name in (path.rpartition("/") for path in past):
        (home / folder).mkdir(parents=True, exist_ok=True)
        (home / folder / name).write_bytes(b"%d" % process)


def release(data: Path, **positions: int) -> None:
    for name, position in positions.items():
        word = Release(data / "log/0", name.replace("_", "-"))
        word.set(position)
        word.close()


def everything(data: Path, of: int) -> dict[str, Any]:
    """What there is, by lane, and where; each event in the file of its lane's process."""
    found: dict[str, Any] = {"tried": {}, "waiting": [], "cursors": {}, "dead": {}, "delivered": 0, "ids": []}
    for process in range(of):
        share = Share(process, of)
        home = share.home(data)
        state = State(home / "state/pipeline.db")
        crm = state.destinations()["crm"]
        for one in state.exceptions("crm"):
            assert share.has(one.key), "it is where its lane is"
            if one.kind == "tried":
                assert state.payload("crm", one.number, one.child) == (b"{}", None)
                found["tried"][one.number] = crm.active - one.active
            else:
                found["waiting"].append(one.number)
        found["cursors"] |= {lane: crm.cursors[lane] for lane in range(share.first, share.end)}
        found["delivered"] += state.counts().get(("destination", "crm", "delivered"), 0)
        index, files = Index(home / "state/pipeline.db"), dead_segments(home)
        rows = index.latest(DEAD, Filter(), None, 1000)
        for letter, payload in zip(rows, files.read_all([place(one) for one in rows]), strict=True):
            assert isinstance(payload, bytes), payload
            found["dead"][letter["number"]] = payload
            found["ids"].append(letter["id"])
        assert state.kept().get(("crm", "rejected"), 0) == len(rows)
        assert state.began("crm") == 3
        index.close()
        state.close()
    found["waiting"].sort()
    assert len(set(found.pop("ids"))) == LANES, "ids of letters are unique over all"
    return found


def made(tmp_path: Path, of: int, **more: Any) -> Path:
    data = tmp_path / "data"
    (data / "state").mkdir(parents=True)
    if of > 1:
        layout.settle(data, of)
    for process in range(of):
        put(Share(process, of).home(data), process, of, **more)
    return data


@pytest.mark.parametrize("way", [(1, 3, 2, 1), (3, 1, 2), (2, 5, 3)])
def test_what_waits_moves_with_its_lane_there_and_back(tmp_path: Path, way: tuple[int, ...]) -> None:
    data = made(tmp_path, way[0])
    before = everything(data, way[0])
    release(data, **{Share(n, way[0]).name.replace("-", "_"): 500 + n for n in range(way[0])})
    for to in way[1:]:
        layout.settle(data, to)
        assert everything(data, to) == before
        assert released(data / "log/0") == 500, "no process needs more of the log than any did"
        names = {path.name for path in (data / "log/0/released").iterdir()}
        assert names == {Share(process, to).name for process in range(to)}
        assert (data / "state/layout.json").exists() == (to > 1)
        assert sorted(path.name for path in data.glob("pipeline-*")) == [Share(n, to).name for n in range(1, to)]
        assert sum(1 for _ in data.rglob("lost-*/*")) == way[0], "nor is what was set aside lost"
        assert sum(1 for _ in data.rglob("*.arc")) == sum(1 for _ in data.rglob("*.journal")) == way[0]
        assert not list(data.rglob("*.next"))


@pytest.mark.parametrize("way", [(3, 1), (2, 5, 2, 1), (1, 3, 2)])
def test_letters_of_processes_that_are_no_more_are_in_the_order_of_their_times(
    tmp_path: Path, way: tuple[int, ...]
) -> None:
    """Their ids are not: each process has a span of its own. What goes first for want of room is the oldest, too."""
    data = made(tmp_path, way[0])
    now = 2_000_000_000.0
    for step, to in enumerate((way[0], *way[1:])):
        layout.settle(data, to)
        for turn in range(6):  # they die here and there by turns
            for process in reversed(range(to)):
                home = Share(process, to).home(data)
                state, files, changes = State(home / "state/pipeline.db"), dead_segments(home), Changes()
                now += 0.25
                lane = Share(process, to).first
                index = ("crm", "web", 9, turn, bytes([lane]) * 8, now, 400, "no", None, "rejected", "", f"s{step}")
                changes.dead.append((index, pack(DeadLetter(b"{}", b"", "m", 1))))
                changes.places.dead = files.append([payload for _, payload in changes.dead])
                changes.places.refused = []
                state.commit(changes)
                os.utime(max((home / "dead").glob("*.dead")), (now, now))
                state.close()
                files.close()
    layout.settle(data, way[-1])
    for process in range(way[-1]):
        home = Share(process, way[-1]).home(data)
        index = Index(home / "state/pipeline.db")
        for wanted in (Filter(), Filter({"destination": "crm"}), Filter({"class": "rejected"})):
            newest = index.latest(DEAD, wanted, None, 1000)
            assert [one["at"] for one in newest] == sorted((one["at"] for one in newest), reverse=True)
            oldest = index.after(DEAD, wanted, (0, 0), index.newest(DEAD), 1000)
            assert oldest == newest[::-1]
            found: list[Row] = []
            while rows := index.after(DEAD, wanted, DEAD.spot(found[-1]) if found else (0, 0), 1 << 60, 7):
                found += rows
            assert found == oldest, "page by page"
            found = []
            while rows := index.latest(DEAD, wanted, DEAD.spot(found[-1]) if found else None, 7):
                found += rows
            assert found == newest
            assert len(found) == len({one["id"] for one in found}) >= 6
        lately = {one["segment"]: one["at"] for one in oldest if one["at"] > 1e9}
        gone = [segment for segment in overfull(dead_segments(home).sizes(), 0) if segment in lately]
        assert gone == sorted(lately, key=lambda segment: lately[segment])
        index.close()


def test_ids_of_letters_are_never_given_twice(tmp_path: Path) -> None:
    data = made(tmp_path, 2)
    ids: set[int] = set()
    for to in (3, 1, 3, 2):
        layout.settle(data, to)
        for process in range(to):
            with closing(sqlite3.connect(Share(process, to).home(data) / "state/pipeline.db")) as db:
                fields = "destination, source, number, child, key, at, reason, segment, offset, length"
                db.execute(f"INSERT INTO dead ({fields}) VALUES ('crm', 'web', 9, 0, x'00', 1, '', 1, 8, 1)")
                (ident,) = db.execute("SELECT last_insert_rowid()").fetchone()
                db.commit()
                assert ident not in ids
                ids.add(ident)
                if ident in {one for one, in db.execute("SELECT id FROM dead WHERE number < 9")}:
                    pytest.fail("an id of before")


def test_a_job_goes_with_its_lanes_or_keeps_the_number_as_it_is(tmp_path: Path) -> None:
    data = made(tmp_path, 2, jobs=True)
    with pytest.raises(Fixable, match=r"crm has a job at its tool.*`pipeline: 2`"):
        layout.settle(data, 3)
    assert everything(data, 2)["tried"].keys() == {1000 + lane for lane in range(LANES)}, "nothing was changed"
    layout.settle(data, 1)
    state = State(data / "state/pipeline.db")
    assert [job.events for job in stored_jobs(state, "crm")] == [((1000, 0), (1127, 0)), ((1128, 0), (1255, 0))]
    state.close()


class Killed(BaseException):
    """As SIGKILL: nothing catches it."""


@pytest.mark.parametrize(("old", "to"), [(1, 3), (3, 1), (2, 3)])
def test_killed_at_any_moment_it_is_as_before_or_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: int, to: int
) -> None:
    """Every rename, sync, and deletion is a moment to die at."""
    data = made(tmp_path, old)
    release(data, **{Share(n, old).name.replace("-", "_"): 500 for n in range(old)})
    before = everything(data, old)
    moments = 0
    while True:
        copy = Path(shutil.copytree(data, tmp_path / str(moments)))
        died = _killed(copy, monkeypatch, to, moments)
        layout.settle(copy, to)
        assert everything(copy, to) == before
        if not died:
            break
        moments += 1
    assert moments > 8


def _killed(data: Path, monkeypatch: pytest.MonkeyPatch, to: int, moment: int) -> bool:
    """Die at one moment of those there are; False where there is none so late."""
    left = moment

    def mortal(work: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            nonlocal left
            if left == 0:
                raise Killed
            left -= 1
            return work(*args, **named)

        return call

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", mortal(Path.replace))
        for name in ("sync_folder", "_build", "_let_go"):
            patched.setattr(layout, name, mortal(getattr(layout, name)))
        patched.setattr(layout.shutil, "rmtree", mortal(layout.shutil.rmtree))
        try:
            layout.settle(data, to)
        except Killed:
            return True
    return False


def test_a_change_that_was_begun_is_finished_also_where_another_number_is_wanted_by_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = made(tmp_path, 2)
    before = everything(data, 2)
    with monkeypatch.context() as patched:
        patched.setattr(layout, "_finish", lambda *_: (_ for _ in ()).throw(Killed()))
        with pytest.raises(Killed):
            layout.settle(data, 3)
    layout.settle(data, 1)
    assert everything(data, 1) == before


@pytest.mark.parametrize("to", [1, 2, 3])
def test_events_of_a_process_that_the_layout_does_not_know_are_not_passed_over(tmp_path: Path, to: int) -> None:
    data = made(tmp_path, 3)
    before = everything(data, 3)
    said = (data / "state/layout.json").read_bytes()
    (data / "state/layout.json").unlink()  # restored without it
    with pytest.raises(Fixable, match=r"pipeline-1 is of a process that .*layout\.json does not speak of") as refused:
        layout.settle(data, to)
    assert f"`{said.decode()}`" in str(refused.value), "what the file has to say is known by the folders"
    (data / "state/layout.json").write_bytes(said)
    layout.settle(data, 3)
    assert everything(data, 3) == before


def test_what_did_not_come_to_count_leaves_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies of state files may be large: on a disk that is full they would keep it full."""
    data = made(tmp_path, 2)
    with monkeypatch.context() as patched:
        full = sqlite3.OperationalError("database or disk is full")

        def refuse(*_: object) -> None:
            raise full

        patched.setattr(layout, "_begin_ids", refuse)
        with pytest.raises(Fixable, match="cannot be written: database or disk is full"):
            layout.settle(data, 3)
    assert not list(data.rglob("*.next*"))
    (data / "pipeline-1/state/pipeline.db.next").write_bytes(bytes(4096))  # killed in the middle
    (data / "pipeline-1/state/pipeline.db.next-journal").write_bytes(bytes(4096))
    layout.settle(data, 2)
    assert not list(data.rglob("*.next*"))
    layout.settle(data, 3)


def test_a_layout_of_a_newer_version_or_a_damaged_one_is_refused(tmp_path: Path) -> None:
    data = made(tmp_path, 2)
    (data / "state/layout.json").write_text('{"version":2,"pipelines":2}')
    with pytest.raises(Fixable, match="newer Turnout"):
        layout.settle(data, 2)
    (data / "state/layout.json").write_text("{")
    with pytest.raises(Fixable, match="damaged"):
        layout.settle(data, 2)


def test_a_folder_of_one_process_is_left_as_it_is(tmp_path: Path) -> None:
    data = made(tmp_path, 1)
    before = {path: path.stat().st_mtime_ns for path in data.rglob("*")}
    layout.settle(data, 1)
    assert {path: path.stat().st_mtime_ns for path in data.rglob("*")} == before


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"no database" * 999)])
def test_a_state_file_that_is_lost_is_not_taken_for_an_empty_one(
    tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    """Else what only the log still has would be passed over: the processes of before see it, and begin again there."""
    data = made(tmp_path, 2)
    (data / "sequence").mkdir()
    (data / "sequence" / f"{1:020d}.seq").touch()
    path = data / "pipeline-1/state/pipeline.db"
    damage(path)
    before = path.read_bytes() if path.exists() else None
    with pytest.raises(Fixable, match=r"pipeline-1/state/pipeline\.db is gone or damaged.*`pipeline: 2`"):
        layout.settle(data, 3)
    assert (path.read_bytes() if path.exists() else None) == before
    layout.settle(data, 2)


def test_in_a_new_folder_only_those_that_follow_get_a_file(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    layout.settle(tmp_path, 3)
    assert not (tmp_path / "state/pipeline.db").exists()
    for process in (1, 2):
        begun: list[int] = []
        state = State(tmp_path / f"pipeline-{process}/state/pipeline.db", partial(begun.append, process))
        assert state.follows()
        assert not begun
        state.close()
    layout.settle(tmp_path, 1)
    assert not list(tmp_path.glob("pipeline-*"))


def test_what_is_to_be_renamed_and_is_gone_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = made(tmp_path, 1)
    with monkeypatch.context() as patched:
        patched.setattr(layout, "_finish", lambda *_: (_ for _ in ()).throw(Killed()))
        with pytest.raises(Killed):
            layout.settle(data, 2)
    (data / "pipeline-1/state/pipeline.db.next").unlink()
    with pytest.raises(Fixable, match="restore a backup"):
        layout.settle(data, 2)


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    data = made(tmp_path, 1)
    (data / "pipeline-1").write_bytes(b"")
    with pytest.raises(Fixable, match=r"^processes.pipeline: \S*/data/pipeline-1 cannot be written: File exists$"):
        layout.settle(data, 2)
    assert not list(data.rglob("*.next"))
    (data / "pipeline-1").unlink()
    layout.settle(data, 2)
    (data / "pipeline-1/state/pipeline.db").unlink()
    (data / "pipeline-1/state/pipeline.db").mkdir()
    with pytest.raises(Fixable, match=r"^processes.pipeline: \S*/pipeline-1/state/pipeline.db cannot be written: un"):
        layout.settle(data, 3)


def test_a_folder_that_cannot_be_deleted_is_no_hindrance_and_its_state_file_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its state file would be refused at the next start, as that of a process that nobody knows."""
    data = made(tmp_path, 2)
    gone, unlink = data / "pipeline-1/state/pipeline.db", Path.unlink

    def immutable(path: Path, missing_ok: bool = False) -> None:
        if path == gone:
            raise PermissionError(1, "Operation not permitted", str(path))
        unlink(path, missing_ok)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", immutable)
        patched.setattr(shutil, "rmtree", lambda path, ignore_errors=False: None)
        for _ in range(2):
            with pytest.raises(Fixable, match=r"pipeline-1/state/pipeline.db cannot be written: Operation not"):
                layout.settle(data, 1)
        patched.setattr(Path, "unlink", unlink)
        layout.settle(data, 1)
    layout.settle(data, 1)
    assert everything(data, 1)["waiting"] == list(range(2000, 2000 + LANES))
    assert (data / "pipeline-1").exists()
    layout.settle(data, 2)
    assert everything(data, 2)["waiting"] == list(range(2000, 2000 + LANES))
