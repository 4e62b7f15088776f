"""Counters over the lives of processes."""

from __future__ import annotations

from dataplane.metrics.counters import Counters
from dataplane.metrics.declarations import Sample

SENT = ("turnout_requests_total", ("hook", "200"))
DONE = ("turnout_events_total", ("hook", "delivered"))
LAG = ("turnout_lag_events", ("hook",))


def given(sent: float | None, done: float | None, lag: float = 0.0) -> list[Sample]:
    values = ((SENT, sent), (DONE, done), (LAG, lag))
    return [(*series, number) for series, number in values if number is not None]


def told(found: list[Sample]) -> dict[str, float]:
    return {name: number for name, _, number in found}


def test_what_a_process_counted_before_it_died_stays_counted() -> None:
    counters = Counters()
    assert told(counters.of("pipeline-1", 0, given(10, 100, 7))) == {SENT[0]: 10, DONE[0]: 100, LAG[0]: 7}
    assert told(counters.last("pipeline-1")) == {SENT[0]: 10, DONE[0]: 100}, "while it is away, and no gauge"
    # What it has in memory begins at nothing; what it stores lacks the last tenth of a second.
    assert told(counters.of("pipeline-1", 1, given(None, 97))) == {SENT[0]: 10, DONE[0]: 100, LAG[0]: 0}
    assert told(counters.of("pipeline-1", 1, given(2, 99))) == {SENT[0]: 12, DONE[0]: 100, LAG[0]: 0}
    assert told(counters.of("pipeline-1", 1, given(3, 105))) == {SENT[0]: 13, DONE[0]: 105, LAG[0]: 0}
    assert told(counters.of("pipeline-1", 3, given(1, 105))) == {SENT[0]: 14, DONE[0]: 105, LAG[0]: 0}
    assert not counters.last("pipeline"), "each for itself"


def test_a_destination_that_is_gone_and_one_that_begins_anew_are_shown_as_they_are() -> None:
    counters = Counters()
    counters.of("pipeline", 0, given(10, 100))
    assert DONE[0] not in told(counters.of("pipeline", 0, given(10, None)))
    assert told(counters.of("pipeline", 0, given(10, 3)))[DONE[0]] == 3
    assert told(counters.of("pipeline", 1, given(0, 3)))[DONE[0]] == 3
    assert DONE[0] not in told(counters.of("pipeline", 2, given(0, None)))
