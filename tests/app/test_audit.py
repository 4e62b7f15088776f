"""The audit trail: one line each, whole, bounded, and never in the way of what was done."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from dataplane.api import audit
from dataplane.api.audit import Audit


def lines(path: Path) -> list[str]:
    return [json.loads(line)["verb"] for line in path.read_text().splitlines()]


def test_a_full_disk_is_said_and_breaks_neither_the_answer_nor_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real = tmp_path / "audit.log", os.write
    trail = Audit(path)
    trail.note("token", "pause", 200)

    def full(fd: int, data: bytes) -> int:
        return real(fd, data[:5])

    with monkeypatch.context() as disk:
        disk.setattr("dataplane.api.audit.os.write", full)
        trail.note("token", "resume", 200)
    trail.note("token", "reload", 200)
    trail.close()
    assert lines(path) == ["pause", "reload"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_it_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "LIMIT", 300)
    trail = Audit(tmp_path / "audit.log")
    for n in range(20):
        trail.note("token", f"verb-{n}", 200)
    trail.close()
    kept = [*lines(tmp_path / "audit.log.1"), *lines(tmp_path / "audit.log")]
    assert kept[-1] == "verb-19"
    assert kept == [f"verb-{n}" for n in range(20 - len(kept), 20)]
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 1_000
