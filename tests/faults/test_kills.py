"""SIGKILL to every role under load: nothing acknowledged is lost, order and sums hold (`make faults`: 200 times)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.faults.account import Outcome, account, sums
from bench.faults.kills import kill_under_load
from bench.sink import Arrival, Sink

ONCE = {"": lambda _: 1}


@pytest.mark.slow
def test_every_role_may_be_killed_under_load(tmp_path: Path) -> None:
    found = kill_under_load(tmp_path, kills=7, users=12, say=print)

    assert found.acknowledged > 100
    assert found.ok, found
    # A tenth of a second of cursors and what is in flight; the rest is room for a busy machine.
    assert found.window < 2.0, found


def arrived(*events: tuple[int, int, float], status: int = 200) -> Sink:
    sink = Sink()
    for user, n, at in events:
        body = json.dumps({"userId": f"u{user}", "properties": {"n": n}}).encode()
        sink.arrivals.append(Arrival(at, {}, body, status=status))
    return sink


def test_loss_disorder_and_doubles_are_seen_where_there_are_some() -> None:
    good = account(Outcome("good"), arrived((0, 0, 1.0), (1, 0, 1.0), (0, 1, 2.0)), {0: 2, 1: 1}, copies=ONCE)
    assert (good.acknowledged, good.lost, good.again, good.disordered) == (3, 0, 0, 0)
    assert account(Outcome("lost"), arrived((0, 1, 1.0)), {0: 2}, copies=ONCE).lost == 1
    assert account(Outcome("refused"), arrived((0, 0, 1.0), status=503), {0: 1}, copies=ONCE).lost == 1
    assert account(Outcome("order"), arrived((0, 1, 1.0), (0, 0, 2.0)), {0: 2}, copies=ONCE).disordered == 1
    twice = account(Outcome("twice"), arrived((0, 0, 1.0), (0, 0, 3.0)), {0: 1}, [1.25], copies=ONCE)
    assert (twice.again, twice.window) == (1, 0.25)


def test_sums_that_do_not_hold_are_told() -> None:
    row = {"born": 1, "revived": 0, "delivered": 3, "filtered": 0, "dead": 1, "pending": 0, "unread": 0}
    status = {"sources": {"web": {"unique": 3}}, "destinations": {"hook": row}}
    assert sums(status, 3) == []
    assert sums(status, 4) == ["unique 3, sent and acknowledged 4"]
    row["dead"] = 0
    assert sums(status, 3) == ["hook: 3 unique + 1 born + 0 revived is not 3, the sum of its verdicts"]
