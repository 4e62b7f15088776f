"""The books: what is committed is committed once, also when its committer is cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from pathlib import Path

from dataplane.clock import SystemClock
from dataplane.deliver.dead import unpack_dead
from dataplane.deliver.entry import Entry
from dataplane.deliver.exchange import Sent
from dataplane.deliver.index import DEAD, REFUSED, Filter, place
from dataplane.deliver.ledger import Ledger
from dataplane.deliver.segments import Place
from dataplane.deliver.state import ExceptionRow
from dataplane.pipeline.numbered import RefusedEvent
from turnout.request import Json, Request, Response
from turnout.verdict import dead


def bury(ledger: Ledger, number: int) -> None:
    entry = Entry(number, 7, "web", 0, [(b'{"messageId":"m"}', {}, None)])
    ledger.bury("hook", entry, 0, b'{"messageId":"m"}', {}, one=Sent(dead("no")), attempts=1)


async def test_what_an_adapter_calls_secret_is_masked_in_the_letter(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, SystemClock())
    request = Request(
        "POST", "https://user:hidden-1@crm.example/in?tok=hidden-2", Json({"note": "the key is hidden-5!"}),
        headers={"X-Crm": "hidden-3", "Authorization": "hidden-6", "Accept": "*/*"}, params={"sig_v9": "hidden-4"},
        secret=frozenset({"x-crm", "SIG_V9"}),
    )
    answer = Response(400, {"Set-Cookie": "hidden-7", "X-Echo": "hidden-3", "Date": "today"}, b"bad key hidden-5!")
    entry = Entry(1, 7, "web", 0, [(b"{}", {}, None)])
    ledger.bury(
        "crm", entry, 0, b"{}", {}, one=Sent(dead("HTTP 400", 400), request, answer), attempts=1,
        secrets=["hidden-5!"],
    )
    assert await ledger.commit(lambda _: [], lambda: None)
    (row,) = ledger.index.latest(DEAD, Filter(), None, 1)
    letter = unpack_dead(ledger.letters.read(place(row)))
    assert letter.request is not None
    assert letter.request["headers"] == {"X-Crm": "***", "Authorization": "***", "Accept": "*/*"}
    assert letter.answer is not None
    assert letter.answer["headers"] == {"Date": "today"}
    ledger.close()
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or b"hidden" not in path.read_bytes(), path


async def test_concurrent_and_cancelled_commits_write_each_change_once(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, SystemClock())
    held = threading.Event()

    def slow() -> None:
        held.wait(5)

    bury(ledger, 1)
    first = asyncio.create_task(ledger.commit(lambda _: [], slow))
    await asyncio.sleep(0.05)
    first.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await first
    bury(ledger, 2)
    rest = [asyncio.create_task(ledger.commit(lambda _: [], slow)) for _ in range(3)]
    await asyncio.sleep(0.05)
    held.set()
    assert all(await asyncio.gather(*rest))
    assert [row["number"] for row in ledger.index.latest(DEAD, Filter(), None, 10)] == [2, 1]
    ledger.close()


async def test_what_cannot_be_written_is_kept_and_written_later(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, SystemClock())
    broken = True

    def disk() -> None:
        if broken:
            raise OSError(28, "No space left on device")

    bury(ledger, 1)
    assert not await ledger.commit(lambda _: [], disk)
    assert ledger.stuck
    assert ledger.due
    broken = False
    bury(ledger, 2)
    assert await ledger.commit(lambda _: [], disk)
    assert not ledger.stuck
    assert sorted(row["number"] for row in ledger.index.latest(DEAD, Filter(), None, 10)) == [1, 2]
    ledger.close()


async def test_a_newer_state_file_is_refused_with_a_sentence(tmp_path: Path) -> None:
    Ledger(tmp_path, SystemClock()).close()
    with contextlib.closing(sqlite3.connect(tmp_path / "state" / "pipeline.db")) as db:
        db.execute("PRAGMA user_version=99")
        db.commit()
    try:
        Ledger(tmp_path, SystemClock())
    except Exception as error:  # the type is asserted with its sentence
        assert type(error).__name__ == "FormatError"
        assert "newer Turnout" in str(error)
    else:
        raise AssertionError("a newer file was opened")


async def test_what_is_released_was_synced_before(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, SystemClock())
    said: list[str] = []
    bury(ledger, 1)
    assert await ledger.commit(lambda _: [], lambda: None)
    ledger.state._db.set_trace_callback(said.append)
    await ledger.release(7)
    ledger.state._db.set_trace_callback(None)
    assert [line.split()[0] for line in said] == ["PRAGMA", "INSERT", "PRAGMA"]
    assert (said[0], said[2]) == ("PRAGMA synchronous=FULL", "PRAGMA synchronous=NORMAL")
    reader = sqlite3.connect(tmp_path / "state" / "pipeline.db")
    assert reader.execute("SELECT value FROM fact WHERE name='released'").fetchone() == (7,)
    reader.close()
    ledger.close()


async def test_a_reason_that_is_no_text_keeps_nothing_from_being_written(tmp_path: Path) -> None:
    """An adapter that quotes half a surrogate pair, or megabytes, hurts only how its own letter reads."""
    ledger = Ledger(tmp_path, SystemClock())
    entry = Entry(1, 7, "web", 0, [(b"{}", {}, None)])
    ledger.bury("hook", entry, 0, b"{}", {}, one=Sent(dead("it said \ud800" + "x" * 1_000_000)), attempts=1)
    row = ExceptionRow("hook", 2, 0, 7, "tried", "web", reason="\udfff")
    ledger.keep(row, b"{}", {})
    assert await ledger.commit(lambda _: [], lambda: None)
    row.reason = "again \ud800"
    ledger.tried(row)
    assert await ledger.commit(lambda _: [], lambda: None)
    (letter,) = ledger.index.latest(DEAD, Filter(), None, 1)
    assert letter["reason"].startswith("it said ?xxx")
    assert len(letter["reason"]) == 1_000
    assert [one.reason for one in ledger.state.exceptions("hook")] == ["again ?"]
    ledger.close()


async def test_letters_that_found_room_are_not_written_again_and_again(tmp_path: Path) -> None:
    """While refused events find no room, dead letters of the same commit must not fill the disk."""
    ledger = Ledger(tmp_path, SystemClock())
    taken, real = ledger.letters.sizes, ledger.refusals.append

    def full(payloads: list[bytes]) -> list[Place]:
        raise OSError(28, "No space left on device")

    ledger.refusals.append = full
    bury(ledger, 1)
    ledger.refuse([RefusedEvent(2, "web", "bad", "not good", 0, b"{}", "rudder", "track")])
    assert not await ledger.commit(lambda _: [], lambda: None)
    size = sum(taken().values())
    assert size > 0
    for _ in range(5):
        assert not await ledger.commit(lambda _: [], lambda: None)
    assert sum(taken().values()) == size
    ledger.refusals.append = real
    assert await ledger.commit(lambda _: [], lambda: None)
    (row,) = ledger.index.latest(DEAD, Filter(), None, 9)
    assert unpack_dead(ledger.letters.read(place(row))).event == b'{"messageId":"m"}'
    assert [row["number"] for row in ledger.index.latest(REFUSED, Filter(), None, 9)] == [2]
    ledger.close()


async def test_what_dies_while_its_destination_is_renamed_has_its_new_name(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, SystemClock())
    bury(ledger, 1)
    row = ExceptionRow("hook", 2, 0, 7, "tried", "web")
    ledger.keep(row, b'{"n":2}', {})
    ledger.changes.rename("hook", "crm", 1_795_000_000.0)
    ledger.renamed("hook", "crm")
    row.destination = "crm"
    assert await ledger.commit(lambda _: [], lambda: None)
    assert ledger.state.kept() == {("crm", "invalid"): 1}
    assert ledger.payload(row) == (b'{"n":2}', {})
    assert not ledger._fresh, "what is written needs no memory"
    ledger.close()


async def test_a_letter_is_kept_without_what_cannot_be_stored_of_its_answer(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, SystemClock())
    entry = Entry(1, 7, "web", 0, [(b'{"n":1}', {}, None)])
    answer = Response(400, {"Server": "half a pair: \udce9"}, b"no")
    ledger.bury("hook", entry, 0, b'{"n":1}', {}, one=Sent(dead("no", 400), None, answer), attempts=1)
    assert await ledger.commit(lambda _: [], lambda: None)
    (row,) = ledger.index.latest(DEAD, Filter(), None, 1)
    letter = unpack_dead(ledger.letters.read(place(row)))
    assert (letter.event, letter.answer) == (b'{"n":1}', None)
    ledger.close()
