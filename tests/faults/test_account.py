"""The accounting of the faults: loss, disorder, doubles and wrong sums are seen where there are some."""

from __future__ import annotations

from collections.abc import Sequence

from bench.faults.account import WINDOW, Arrival, Fate, Outcome, arrived, sums, verdicts

ONCE = Fate()


def judged(
    *arrivals: Arrival, acknowledged: dict[int, int], kills: Sequence[float] = (), fate: Fate = ONCE,
    reread: bool = False,
) -> tuple[int, int, int, int]:
    found = arrived(Outcome("x"), arrivals, acknowledged, lambda _: fate, kills, reread=reread)
    return found.lost, found.again, found.stray, found.disordered


def test_what_arrived_once_and_in_order_is_well() -> None:
    assert judged(Arrival(0, 0, 1.0), Arrival(1, 0, 1.0), Arrival(0, 1, 2.0), acknowledged={0: 2, 1: 1}) == (0, 0, 0, 0)


def test_what_never_arrived_or_was_never_accepted_is_lost() -> None:
    assert judged(Arrival(0, 1, 1.0), acknowledged={0: 2}) == (1, 0, 0, 0)
    assert judged(Arrival(0, 0, 1.0, accepted=False, final=False), acknowledged={0: 1}) == (1, 0, 0, 0)
    assert judged(Arrival(0, 0), acknowledged={0: 1}, fate=Fate(2, born=1)) == (1, 0, 0, 0)


def test_a_double_is_explained_by_a_kill_just_before_and_by_nothing_else() -> None:
    first = Arrival(0, 0, 1.0, life=0)
    assert judged(first, Arrival(0, 0, 1.0), acknowledged={0: 1}, kills=[1.1]) == (0, 1, 1, 0), "twice in one life"
    assert judged(first, Arrival(0, 0, 3.0, life=1), acknowledged={0: 1}, kills=[1.1]) == (0, 1, 0, 0)
    late = 1.0 + WINDOW + 0.1
    assert judged(first, Arrival(0, 0, 9.0, life=1), acknowledged={0: 1}, kills=[late]) == (0, 1, 1, 0), "long before"
    assert judged(first, Arrival(0, 0, 9.0, life=1), acknowledged={0: 1}, kills=[late], reread=True) == (0, 1, 0, 0)
    assert judged(first, acknowledged={0: 0})[1:3] == (1, 1), "sent by nobody"


def test_an_event_before_the_answer_of_an_earlier_one_is_out_of_order() -> None:
    assert judged(Arrival(0, 1, 1.0), Arrival(0, 0, 2.0), acknowledged={0: 2})[3] == 2
    failed = Arrival(0, 0, 1.0, accepted=False, final=False)
    assert judged(failed, Arrival(0, 1, 2.0), Arrival(0, 0, 3.0), acknowledged={0: 2})[3] == 2, "while it was put aside"
    refused = Arrival(0, 0, 1.0, accepted=False)
    assert judged(refused, Arrival(0, 1, 2.0), acknowledged={0: 2}, fate=Fate(0, dead=1))[3] == 0
    again = (Arrival(0, 0, 1.0), Arrival(0, 1, 1.0), Arrival(0, 0, 3.0, life=1), Arrival(0, 1, 3.0, life=1))
    assert judged(*again, acknowledged={0: 2}, kills=[1.1])[2:] == (0, 0)
    assert judged(*again[:2], again[3], again[2], acknowledged={0: 2}, kills=[1.1])[3] == 1, "repeated in another order"


def test_events_of_one_request_may_fail_together() -> None:
    both = [Arrival(0, n, 1.0, accepted=False, final=False, request=5) for n in (0, 1)]
    one_by_one = [Arrival(0, n, 2.0 + n, request=6 + n) for n in (0, 1)]
    assert judged(*both, *one_by_one, acknowledged={0: 2})[3] == 0


def test_sums_and_counts_that_do_not_hold_are_told() -> None:
    row = {"born": 1, "revived": 0, "delivered": 3, "filtered": 0, "dead": 1, "pending": 0, "unread": 0, "archived": 0}
    status = {"sources": {"web": {"unique": 3}}, "destinations": {"hook": row}}
    assert sums(status, 3) == sums(status, None) == []
    assert sums(status, 4) == ["unique 3, sent and acknowledged 4"]
    fates = {"hook": lambda n: [Fate(2, born=1), Fate(0, dead=1), Fate()][n]}
    assert verdicts(status, {0: 3}, fates) == []
    row["dead"] = 0
    assert sums(status, 3) == ["hook: 3 unique + 1 born + 0 revived is not 3, the sum of its verdicts"]
    assert verdicts(status, {0: 3}, fates) == ["hook: 0 dead, not 1"]
    row["dead"] = 2
    assert sums(status, None) == ["hook: 3 unique + 1 born + 0 revived is not 5, the sum of its verdicts"]
