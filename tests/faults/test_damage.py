"""Damaged and lost files: it starts, says what it found, and delivers what is intact (`make faults`: all of them)."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.faults.damage import damaged


@pytest.mark.slow
@pytest.mark.parametrize("name", [
    "log: a byte of an older segment flips",
    "sequence: bytes of the message ids flip",
    "sequence: the folder is lost",
    "state: pipeline.db is garbage",
])
def test_it_starts_and_delivers_what_is_intact(tmp_path: Path, name: str) -> None:
    found = damaged(tmp_path, name)

    assert found.acknowledged > 1_000
    assert found.ok, found
