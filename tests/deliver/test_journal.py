"""The journal keeps what was tried, finds it by event number, and costs nothing but lines when it fails."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from engine_kit import Plant, Server, config, event
from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane.clock import SystemClock
from dataplane.config.model import JournalConfig
from dataplane.deliver.journal import Attempt, Filtering, Journal, Origin, find, referenced
from turnout.event import Event
from turnout.testing.fake_clock import FakeClock
from turnout.verdict import delivered, filtered, retry

HOOK = Origin.of("hook", "c0ffee", [("mark", "abc")])
BOUNDS = JournalConfig()


def events(*numbers: int, child: int = 0) -> list[Event]:
    return [Event(b"{}", number=number, child=child) for number in numbers]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(tmp_path / "journal", SystemClock(), BOUNDS)
    made.flush(0.0)
    yield made
    made.close()


def test_an_attempt_is_found_by_each_of_its_events(journal: Journal) -> None:
    journal.sent(HOOK, events(7, 9), at=1.0, seconds=0.25, status=503, error="", attempt=3)
    journal.flush(1.0)
    assert find(journal.folder, 8) == []
    (found,) = find(journal.folder, 9)
    assert isinstance(found, Attempt)
    origin = found.origin
    assert (origin.destination, origin.config, origin.scripts) == ("hook", "c0ffee", (("mark", "abc"),))
    assert (found.status, found.seconds, found.attempt, found.events, found.child) == (503, 0.25, 3, 2, 0)


def test_only_the_events_that_a_request_carried_are_in_it(journal: Journal) -> None:
    journal.sent(HOOK, events(1, 2, 3), (2, 0, 2), at=1.0, seconds=0.1, status=200)
    journal.flush(1.0)
    assert [len(find(journal.folder, n)) for n in (1, 2, 3)] == [1, 0, 1]


def test_outputs_of_one_event_are_told_apart(journal: Journal) -> None:
    journal.sent(HOOK, [*events(5), *events(5, child=2)], at=1.0, seconds=0.1, status=200)
    journal.flush(1.0)
    assert [one.child for one in find(journal.folder, 5)] == [0, 2]


def test_what_a_client_wrote_is_one_attempt_a_saying(journal: Journal) -> None:
    verdicts = [delivered(), retry("disk full"), filtered("not for us"), delivered()]
    journal.written(HOOK, events(1, 2, 3, 4), verdicts, at=1.0, seconds=0.1, attempt=1)
    journal.flush(1.0)
    said = [[one.error for one in find(journal.folder, n) if isinstance(one, Attempt)] for n in (1, 2, 3, 4)]
    assert said == [[""], ["disk full"], [], [""]]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["sent", "filtered", "flush"]),
            st.lists(st.integers(1, 60), min_size=1, max_size=8, unique=True),
            st.sampled_from(["hook", "crm"]),
        ),
        max_size=30,
    )
)
def test_everything_that_was_written_is_found_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, list[int], str]]
) -> None:
    """Compared with a list that is searched from one end to the other."""
    folder = tmp_path_factory.mktemp("journal")
    origins = {name: Origin.of(name, "c", []) for name in ("hook", "crm")}
    said: list[tuple[int, str, str]] = []
    made = Journal(folder, SystemClock(), JournalConfig(max_bytes=32 * 200))  # a segment is full at once
    for what, numbers, name in steps:
        if what == "sent":
            made.sent(origins[name], events(*numbers), at=0.0, seconds=0.0, status=200)
            said.extend((number, name, "sent") for number in numbers)
        elif what == "filtered":
            for number in numbers:
                made.filtered(origins[name], "no", number)
            said.extend((number, name, "filtered") for number in set(numbers))
        else:
            made.flush(0.0)
    made.bounds = BOUNDS
    made.close()
    for number in range(1, 62):
        found = [
            (number, one.origin.destination, "sent" if isinstance(one, Attempt) else "filtered")
            for one in find(folder, number)
        ]
        assert sorted(set(found)) == sorted({row for row in said if row[0] == number})


def test_a_kill_leaves_readable_segments(tmp_path: Path) -> None:
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from dataplane.clock import SystemClock\n"
        "from dataplane.config.model import JournalConfig\n"
        "from dataplane.deliver.journal import Journal, Origin\n"
        "from turnout.event import Event\n"
        "made = Journal(Path(sys.argv[1]), SystemClock(), JournalConfig())\n"
        "origin = Origin.of('hook', 'c', [])\n"
        "for number in range(1, 50):\n"
        "    made.sent(origin, [Event(b'{}', number=number)], at=0.0, seconds=0.0, status=200)\n"
        "    made.flush(0.0)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", program, tmp_path], check=False).returncode == -9
    (segment,) = tmp_path.glob("*.journal")
    assert len(find(tmp_path, 49)) == 1
    with segment.open("ab") as file:  # and what was torn is passed over
        file.write(segment.read_bytes()[16:40])
    assert len(find(tmp_path, 1)) == 1
    again = Journal(tmp_path, SystemClock(), BOUNDS)
    again.sent(HOOK, events(50), at=0.0, seconds=0.0, status=200)
    again.close()
    assert [len(find(tmp_path, n)) for n in (49, 50, 51)] == [1, 1, 0]
    assert referenced(tmp_path) == ({"c", "c0ffee"}, {"abc"})


def test_a_damaged_block_is_not_believed(journal: Journal) -> None:
    journal.sent(HOOK, events(3), at=0.0, seconds=0.0, status=200)
    journal.flush(0.0)
    (segment,) = journal.folder.glob("*.journal")
    data = bytearray(segment.read_bytes())
    data[-1] ^= 1
    segment.write_bytes(data)
    assert find(journal.folder, 3) == []


def test_a_full_disk_loses_lines_only_and_says_so_once(tmp_path: Path) -> None:
    """RLIMIT_FSIZE makes the kernel refuse the write (EFBIG), as a full disk does."""
    program = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from dataplane.clock import SystemClock\n"
        "from dataplane.config.model import JournalConfig\n"
        "from dataplane.deliver.journal import Journal, Origin, find\n"
        "from turnout.event import Event\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "folder = Path(sys.argv[1])\n"
        "made = Journal(folder, SystemClock(), JournalConfig())\n"
        "origin = Origin.of('hook', 'c', [])\n"
        "def go(number):\n"
        "    made.sent(origin, [Event(b'{}', number=number)], at=0.0, seconds=0.0, status=200)\n"
        "    made.flush(0.0)\n"
        "soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))\n"
        "for number in (1, 2): go(number)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (400, hard))\n"
        "go(3)\n"
        "for number in range(4, 20): go(number)\n"
        "assert made.lost\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))\n"
        "go(20)\n"
        "made.close()\n"
        "print([len(find(folder, n)) for n in (1, 3, 19, 20)])\n"
    )
    ran = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1] == "[0, 1, 0, 1]"
    told = ran.stdout + ran.stderr
    assert told.count("journal.lost") == 2
    assert told.count("journal.recovered") == 2


def test_old_segments_are_deleted(tmp_path: Path) -> None:
    clock = FakeClock()
    made = Journal(tmp_path, clock, JournalConfig(max_age=timedelta(hours=1)))
    made.sent(HOOK, events(1), at=0.0, seconds=0.0, status=200)
    made.close()
    (segment,) = tmp_path.glob("*.journal")
    stamp = clock.now().timestamp()
    for path in (segment, segment.with_suffix(".index")):
        os.utime(path, (stamp - 3700, stamp - 3700))
    made.flush(0.0)
    clock.advance(61)
    made.flush(61.0)
    assert made.pruned
    assert list(tmp_path.iterdir()) == []


def test_what_goes_first_is_the_oldest_whatever_its_number_is(tmp_path: Path) -> None:
    """Segments of a process that is no more were taken over behind those that there were."""
    clock = FakeClock()
    made = Journal(tmp_path, clock, JournalConfig(max_bytes=100_000, max_age=timedelta(days=7)))
    at = clock.now().timestamp()
    for number, days in ((1, 3), (2, 2), (3, 9), (4, 4)):
        path = tmp_path / f"{number:010d}.journal"
        path.write_bytes(b"x" * 40_000)
        os.utime(path, (at - 86_400 * days, at - 86_400 * days))
    made.flush(0.0)
    clock.advance(61)
    made.flush(61.0)
    assert sorted(int(path.stem) for path in tmp_path.glob("*.journal")) == [1, 2]
    made.close()


def test_the_journal_stays_within_its_bytes(tmp_path: Path) -> None:
    clock = FakeClock()
    made = Journal(tmp_path, clock, JournalConfig(max_bytes=64_000))
    for number in range(1, 2001):
        made.sent(HOOK, events(number), at=0.0, seconds=0.0, status=200)
        clock.advance(61)
        made.flush(0.0)
    assert sum(path.stat().st_size for path in tmp_path.glob("*.journal")) <= 70_000
    assert find(tmp_path, 1) == []
    assert len(find(tmp_path, 2000)) == 1
    made.close()


def test_files_are_for_their_owner_only(journal: Journal) -> None:
    journal.sent(HOOK, events(1), at=0.0, seconds=0.0, status=200)
    journal.close()
    for path in (journal.folder, *journal.folder.iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


async def test_the_engine_writes_down_every_request_and_every_filtered_event(plant: Plant, server: Any) -> None:
    answers = iter([503])
    server.answer = lambda body: (next(answers, 200), {})
    await plant.start(config(server.url, chain="[drop]"))
    await plant.send(event("ada", 2), event("bob", 1))
    await plant.until(lambda: len(server.taken) == 1)
    folder = plant.folder / "data" / "journal"
    await plant.until(lambda: len(find(folder, 1)) == 2)
    sent = [one for one in find(folder, 1) if isinstance(one, Attempt)]
    assert [(one.status, one.attempt, one.origin.destination) for one in sent] == [(503, 1, "hook"), (200, 2, "hook")]
    (dropped,) = find(folder, 2)
    assert isinstance(dropped, Filtering)
    assert dropped.reason == "dropped by drop"
    assert dropped.origin.scripts[0][0] == "drop"
    now = plant.clock.now().timestamp()
    assert all(now - 60 < one.at <= now for one in find(folder, 1))


async def test_each_config_and_script_that_was_in_force_is_kept(plant: Plant, server: Any) -> None:
    first = config(server.url, chain="[drop]")
    await plant.start(first)
    (plant.folder / "drop.py").write_text("def transformEvent(event, metadata):\n    return None\n")
    await plant.send(event("ada", 2))
    await plant.until(lambda: len(server.taken) == 1)
    await plant.reload(first)
    await plant.send(event("ada", 4))
    await plant.until(lambda: len(server.taken) == 2)
    folder = plant.folder / "data" / "journal"
    await plant.until(lambda: bool(find(folder, 2)))
    old, new = find(folder, 1)[0].origin, find(folder, 2)[0].origin
    assert old.scripts != new.scripts
    history = plant.engine.history
    kept = history.script(old.scripts[0][1])
    assert kept is not None
    assert "return event" in kept.source
    found = history.config(new.config)
    assert found is not None
    assert found["destinations"]["hook"]["type"] == "webhook"
    again = asyncio.get_running_loop().time()
    history.prune(set(), {new.scripts[0][1]}, again + 1e12)
    assert history.script(old.scripts[0][1]) is None
    assert history.script(new.scripts[0][1]) is not None
    assert history.config(new.config) is None


async def test_history_holds_no_secret(plant: Plant, server: Server) -> None:
    url = str(server.url) + "in?token=tok-hidden-1"
    text = config(url).replace("}\n    start", ', headers: [{from: X-Secret, to: hidden-value-2}]}\n    start')
    await plant.start(text)
    kept = b"".join(p.read_bytes() for p in (plant.folder / "data" / "history").rglob("*") if p.is_file())
    assert b"webhook" in kept
    assert b"tok-hidden-1" not in kept
    assert b"hidden-value-2" not in kept
    for path in (plant.folder / "data" / "history").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_numbers_of_another_sequence_are_not_taken_for_these(tmp_path: Path) -> None:
    """Where numbers begin again, what happened to the events that had them is nobody's history."""
    for sequence, kept in ((7, 1), (7, 2), (8, 1)):
        made = Journal(tmp_path, SystemClock(), BOUNDS, sequence)
        made.sent(HOOK, events(5), at=0.0, seconds=0.1, status=200)
        made.close()
        assert len(find(tmp_path, 5)) == kept
