"""A disk that runs full under load: 503, nothing lost, and it goes on by itself when there is room."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.faults.full_disk import full_disk, mountable


@pytest.mark.slow
def test_a_full_disk_answers_503_and_loses_nothing(tmp_path: Path) -> None:
    if not mountable(tmp_path / "try"):
        pytest.skip("it needs to mount a small file system; tests/log has the form with a size limit")
    found = full_disk(tmp_path, times=1)

    assert found.acknowledged > 600
    assert found.ok, found
