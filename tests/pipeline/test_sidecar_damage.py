"""A damaged block in the middle of the sidecar: its events keep their numbers, and so does everything behind them."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_sequence_partitions import Stored, all_of, ids, sequencer

from dataplane.pipeline.blocks import MARK


def fill(folder: Path, *logs: Stored) -> list[tuple[int, str]]:
    """Twelve records over the logs, the second half sequenced in another order than their stamps say."""
    for number in range(6):
        logs[number % len(logs)].add(number, f"a{number}", f"b{number}")
    made = sequencer(folder, *logs)
    found = all_of(made)
    for number in range(6, 12):
        partition = number % len(logs)
        logs[partition].add(100 - 30 * partition + number, f"a{number}", "a3" if number == 8 else f"b{number}")
        found += all_of(made)
    made.sidecar.close()
    return found


def flip(folder: Path, block: int) -> None:
    path = next(folder.glob("*.seq"))
    data = bytearray(path.read_bytes())
    at = -1
    for _ in range(block + 1):
        at = data.index(MARK, at + 1)
    data[at + 40] ^= 0x55
    path.write_bytes(data)


@pytest.mark.parametrize("partitions", [1, 2, 3])
@pytest.mark.parametrize("block", [0, 4, 7, 8])
def test_a_damaged_block_is_decided_again_with_the_same_numbers(tmp_path: Path, partitions: int, block: int) -> None:
    logs = [Stored() for _ in range(partitions)]
    before = fill(tmp_path, *logs)
    whole = next(tmp_path.glob("*.seq")).read_bytes()
    flip(tmp_path, block)

    again = sequencer(tmp_path, *logs)
    assert all_of(again) == [], "nothing gets another number"
    assert not again.counts, "nothing is counted twice"
    assert ids(again.load(1, 100)[0]) == before
    assert next(tmp_path.glob("*.seq")).read_bytes() == whole
    again.close()


def test_a_damaged_last_block_is_a_torn_tail(tmp_path: Path) -> None:
    log = Stored()
    before = fill(tmp_path, log)
    flip(tmp_path, 11)
    again = sequencer(tmp_path, log)
    assert all_of(again) == before[-2:]
    assert ids(again.load(1, 100)[0]) == before
    again.close()


def test_damage_of_several_blocks_is_sequenced_again_from_there(tmp_path: Path) -> None:
    log = Stored()
    before = fill(tmp_path, log)
    flip(tmp_path, 4)
    flip(tmp_path, 5)
    again = sequencer(tmp_path, log)
    assert all_of(again) == before[8:]
    assert ids(again.load(1, 100)[0]) == before
    again.close()
