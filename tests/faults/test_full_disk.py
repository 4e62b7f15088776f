"""A disk that runs full under load: 503, nothing lost, and it goes on by itself when there is room."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.faults.full_disk import full_disk, limited_files, mountable


@pytest.mark.slow
def test_a_full_disk_answers_503_and_loses_nothing(tmp_path: Path) -> None:
    if not mountable(tmp_path / "try"):
        pytest.skip("it needs to mount a small file system; the limit on file size stands for it")
    found = full_disk(tmp_path / "disk", times=1)

    assert found.acknowledged > 600
    assert found.ok, found


@pytest.mark.slow
def test_files_that_may_not_grow_are_a_full_disk(tmp_path: Path) -> None:
    found = limited_files(tmp_path, times=1)

    assert found.acknowledged > 600
    assert found.ok, found
