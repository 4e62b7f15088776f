"""Segments of letters: what is written is read, damage is said, gone is gone."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataplane.deliver.retention import overfull, sparse
from dataplane.deliver.segments import Place, Segments
from turnout.errors import FormatError

MAGIC = b"TOTEST\x01\x00"
SIZES = st.dictionaries(st.integers(1, 50), st.integers(0, 10_000))


def made(folder: Path) -> Segments:
    return Segments(folder / "letters", "test", MAGIC)


def test_what_is_appended_is_read_by_another(tmp_path: Path) -> None:
    files = made(tmp_path)
    first = files.append([b"one", b"", b"three" * 1000])
    second = files.append([b"four"])
    assert made(tmp_path).read_all([*first, *second]) == [b"one", b"", b"three" * 1000, b"four"]
    assert {place.segment for place in first + second} == {1}
    (path,) = (tmp_path / "letters").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    files.close()


def test_a_start_never_writes_behind_a_torn_tail(tmp_path: Path) -> None:
    files = made(tmp_path)
    (torn,) = files.append([b"torn"])
    files.close()
    path = tmp_path / "letters" / "00000001.test"
    path.write_bytes(path.read_bytes()[:-2])
    again = made(tmp_path)
    (place,) = again.append([b"whole"])
    assert place.segment == 2
    assert again.read(place) == b"whole"
    with pytest.raises(FormatError, match="cut short"):
        again.read(torn)
    again.close()


def test_damage_and_absence_are_values_where_many_are_read(tmp_path: Path) -> None:
    files = made(tmp_path)
    good, bad = files.append([b"good", b"bad!"])
    path = tmp_path / "letters" / "00000001.test"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    found = files.read_all([bad, Place(9, 8, 3), good])
    assert [str(one) if isinstance(one, FormatError) else one for one in found] == [
        "it is damaged", "its segment is gone", b"good",
    ]
    files.close()


def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    files = made(tmp_path)
    (place,) = files.append([b"x"])
    path = tmp_path / "letters" / "00000001.test"
    path.write_bytes(b"TOTEST\x02\x00" + path.read_bytes()[8:])
    with pytest.raises(FormatError, match="newer Turnout"):
        files.read(place)
    files.close()


def test_full_segments_roll_and_removed_ones_are_gone(tmp_path: Path) -> None:
    files = made(tmp_path)
    files.limit = 100
    places = [files.append([b"x" * 60])[0] for _ in range(4)]
    assert [place.segment for place in places] == [1, 1, 2, 2]
    assert files.active == 2
    files.remove(1)
    files.remove(2)
    assert files.sizes() == {}
    assert files.active == 0
    assert files.append([b"y"])[0].segment == 3
    files.close()


@given(SIZES, st.integers(0, 100_000))
def test_the_oldest_go_and_no_more_than_must(sizes: dict[int, int], most: int) -> None:
    gone = overfull(sizes, most)
    assert gone == list(sizes)[: len(gone)]
    rest = sum(sizes.values()) - sum(sizes[n] for n in gone)
    assert rest <= most
    if gone:
        assert rest + sizes[gone[-1]] > most


@given(SIZES, SIZES)
def test_only_segments_of_mostly_gone_letters_are_rewritten(sizes: dict[int, int], live: dict[int, int]) -> None:
    found = sparse(sizes, live)
    assert set(found) <= sizes.keys()
    for n, size in sizes.items():
        assert (n in found) == (0 < live.get(n, 0) < size / 4)
