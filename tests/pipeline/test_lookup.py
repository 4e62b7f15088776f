"""A look-up in the sidecar's files finds what reading them from one end to the other finds."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane.pipeline import sidecar as sidecars
from dataplane.pipeline.blocks import DUPLICATE, ENTRY, MARKS, Block
from dataplane.pipeline.lookup import block_of, scan
from dataplane.pipeline.sidecar import Sidecar

DIGESTS = [bytes([n]) * 16 for n in range(1, 5)] + [MARKS[0] * 4]  # one looks like the beginning of a block


def written(folder: Path, counts: list[int], rng: Random) -> dict[int, tuple[bytes, int]]:
    """A sidecar of several small files; what each event was written with."""
    made = Sidecar(folder)
    known: dict[int, tuple[bytes, int]] = {}
    number = position = 0
    for count in counts:
        entries = b""
        for place in range(count):
            digest = rng.choice(DIGESTS) if rng.random() < 0.5 else rng.randbytes(16)
            flags = DUPLICATE if rng.random() < 0.3 else 0
            known[number + 1 + place] = digest, flags
            entries += ENTRY.pack(flags, digest, rng.getrandbits(64), place, 1)
        made.append([Block(number + 1, position, position + 100, count, entries)])
        number, position = number + count, position + 100
    made.close()
    return known


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=30), st.integers(0, 1 << 30))
def test_numbers_and_ids_are_found(
    tmp_path_factory: pytest.TempPathFactory, counts: list[int], seed: int
) -> None:
    folder = tmp_path_factory.mktemp("sidecar")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sidecars, "SEGMENT", 700)
        known = written(folder, counts, Random(seed))
    for number, (digest, flags) in known.items():
        block = block_of(folder, number)
        assert block is not None
        place = number - block.first
        assert ENTRY.unpack_from(block.entries, place * ENTRY.size)[:2] == (flags, digest)
    assert block_of(folder, max(known) + 1) is None
    for digest in DIGESTS:
        expected = [(n, flags) for n, (d, flags) in sorted(known.items(), reverse=True) if d == digest]
        assert list(scan(folder, [digest])) == expected
    assert list(scan(folder, DIGESTS, stop=lambda: True)) == []


def test_an_id_across_two_slices_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = written(tmp_path, [5] * 40, Random(7))
    monkeypatch.setattr("dataplane.pipeline.lookup.SLICE", 20)
    for digest in DIGESTS:
        assert len(list(scan(tmp_path, [digest]))) == sum(d == digest for d, _ in known.values())


def test_nothing_is_found_where_nothing_is(tmp_path: Path) -> None:
    assert block_of(tmp_path, 1) is None
    assert list(scan(tmp_path, DIGESTS)) == []
    Sidecar(tmp_path).close()
    assert block_of(tmp_path, 1) is None
    (tmp_path / f"{2:020d}.seq").write_bytes(b"")
    assert block_of(tmp_path, 2) is None
