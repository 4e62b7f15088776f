"""A destination's rate: slots of time that processes share where there are several."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from dataplane.deliver.pace import Pace, Paces
from dataplane.pipeline.share import WHOLE, Share


@given(st.floats(0.1, 1000), st.lists(st.floats(0, 1), max_size=40))
def test_requests_leave_no_faster_than_the_rate(rate: float, gaps: list[float]) -> None:
    pace, now, left = Pace(), 100.0, []
    for gap in gaps:
        now = max(now + gap, pace.at)
        pace.take(now, rate)
        left.append(now)
    assert all(later - earlier >= 0.999 / rate for earlier, later in pairwise(left))


def test_processes_share_it_by_the_destinations_id(tmp_path: Path) -> None:
    (tmp_path / "rates").mkdir()
    one, other = (Paces(tmp_path, Share(process, 2)) for process in range(2))
    mine, theirs, another = one.of("crm"), other.of("crm"), other.of("ads")
    assert mine is not None
    assert theirs is not None
    assert another is not None
    mine.take(50.0, 2.0)
    assert mine.at == theirs.at == 50.5
    theirs.take(50.0, 2.0)
    assert mine.at == 51.0
    assert another.at == 0.0
    assert one.of("crm") is mine
    assert Paces(tmp_path / "nowhere", WHOLE).of("crm") is None
