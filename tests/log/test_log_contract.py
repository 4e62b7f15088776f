"""What every log engine promises, run over the memory and the local one."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from partition_files import MARKS, small

from dataplane.log.base import MARK, LogReader, LogWriter
from dataplane.log.local import open_reader, open_writer
from dataplane.log.memory import MemoryLog
from turnout.errors import LogClosed

Pair = tuple[LogWriter, LogReader]


@pytest.fixture(params=["memory", "local"])
async def log(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pair]:
    if request.param == "memory":
        memory = MemoryLog()
        yield memory, memory
        return
    writer = open_writer(tmp_path / "log", small())
    reader = open_reader(tmp_path / "log")
    yield writer, reader
    reader.close()
    await writer.close()


async def test_gives_back_what_was_appended_in_order(log: Pair) -> None:
    writer, reader = log
    bodies = [b"", b"x", b"y" * 5000, b"z"]
    positions = await asyncio.gather(*[writer.append(b"e%d" % i, MARKS * i, b) for i, b in enumerate(bodies)])
    records: list[bytes] = []
    position = 0
    while found := reader.read(position):
        for record in found:
            assert record.position == positions[len(records)]
            assert record.envelope == b"e%d" % len(records)
            assert record.count == len(records)
            assert len(record.marks) == MARK * record.count
            records.append(record.body)
        position = found[-1].end
    assert records == bodies
    assert position == reader.head == writer.health().head


async def test_an_empty_log_has_nothing_and_waits(log: Pair) -> None:
    _, reader = log
    assert (reader.head, reader.floor, list(reader.read(0))) == (0, 0, [])
    assert await reader.wait(0, 0.02) is False


async def test_reads_on_from_any_record(log: Pair) -> None:
    writer, reader = log
    positions = [await writer.append(b"", b"", b"%d" % i) for i in range(10)]
    for i, position in enumerate(positions):
        assert reader.read(position)[0].body == b"%d" % i
        assert reader.read(position, max_bytes=1)[0].position == position
    assert list(reader.read(reader.head)) == []


async def test_stamps_and_ends_never_run_backwards(log: Pair) -> None:
    writer, reader = log
    for i in range(20):
        await writer.append(b"", b"", bytes(i))
    records = list(reader.read(0))
    assert all(a.end == b.position and a.stamp <= b.stamp for a, b in itertools.pairwise(records))


async def test_max_bytes_bounds_a_read_and_one_record_always_comes(log: Pair) -> None:
    writer, reader = log
    for _ in range(6):
        await writer.append(b"", b"", b"b" * 400)
    assert len(reader.read(0, max_bytes=900)) == 2
    assert len(reader.read(0, max_bytes=0)) == 1


async def test_a_waiting_reader_is_woken(log: Pair) -> None:
    writer, reader = log
    waiting = [asyncio.create_task(reader.wait(0, 60)) for _ in range(3)]
    await asyncio.sleep(0.01)
    await writer.append(b"", b"", b"x")
    assert await asyncio.gather(*waiting) == [True, True, True]
    assert await reader.wait(0, 0) is True


async def test_a_closed_log_takes_nothing_and_says_so(log: Pair) -> None:
    writer, reader = log
    await writer.append(b"", b"", b"kept")
    await writer.close()
    with pytest.raises(LogClosed):
        await writer.append(b"", b"", b"late")
    assert writer.health().open is False
    assert writer.health().reason
    assert [r.body for r in reader.read(0)] == [b"kept"]


async def test_a_client_that_hangs_up_costs_nothing(log: Pair) -> None:
    writer, reader = log
    lost = asyncio.ensure_future(writer.append(b"", b"", b"first"))
    lost.cancel()
    with suppress(asyncio.CancelledError):
        await lost
    await writer.append(b"", b"", b"second")
    assert [r.body for r in reader.read(0)] == [b"first", b"second"]


async def test_health_counts(log: Pair) -> None:
    writer, reader = log
    await asyncio.gather(*[writer.append(b"", b"", b"x") for _ in range(50)])
    health = writer.health()
    assert (health.open, health.full, health.reason, health.appended) == (True, False, "", 50)
    assert 1 <= health.syncs <= 50
    assert health.head == reader.head
    assert health.bytes >= reader.head


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    groups=st.lists(st.lists(st.binary(max_size=3000), max_size=6), max_size=6),
    max_bytes=st.integers(0, 10_000),
)
async def test_any_groups_come_back_whatever_the_size_of_a_read(
    tmp_path_factory: pytest.TempPathFactory, groups: list[list[bytes]], max_bytes: int
) -> None:
    folder = tmp_path_factory.mktemp("log")
    writer, reader = open_writer(folder, small(2048)), open_reader(folder)
    found: list[bytes] = []
    position = 0
    for group in groups:
        await asyncio.gather(*[writer.append(b"", b"", body) for body in group])
        while records := reader.read(position, max_bytes):
            found += [r.body for r in records]
            position = records[-1].end
    await writer.close()
    reader.close()
    assert found == [body for group in groups for body in group]
