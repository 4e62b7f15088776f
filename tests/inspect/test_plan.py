"""Comparing what two configurations make of the same events: pure."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dataplane.inspect.difference import difference
from dataplane.inspect.plan import Outcome, Stood, compare, keys

values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=2), inner, max_size=3),
)
outcomes = st.builds(
    Outcome, st.sampled_from(["sent", "filtered", "dead"]), st.sampled_from(["", "a rule"]), values, values
)


def events(number: int) -> list[dict[str, Any]]:
    return [{"message_id": f"m{n}", "source": "web", "type": "track", "event": "Step"} for n in range(number)]


def one(before: list[Outcome] | None, after: list[Outcome] | None, **more: Any) -> dict[str, Any]:
    number = len(before if before is not None else after or [])
    found: dict[str, Any] = compare(events(number), {"crm": Stood(before, after, **more)})
    return {"same": found["same"], **found["destinations"]["crm"]}


@given(st.lists(outcomes, max_size=6))
def test_what_is_identical_does_not_differ(rows: list[Outcome]) -> None:
    found = one(rows, copy.deepcopy(rows))
    assert found["same"]
    assert (found["state"], found["changes"]) == ("same", [])


@given(st.lists(st.tuples(outcomes, outcomes), max_size=8))
def test_every_event_that_differs_is_counted_once_and_no_other(rows: list[tuple[Outcome, Outcome]]) -> None:
    found = one([a for a, _ in rows], [b for _, b in rows])
    differing = sum(
        a.status != b.status
        or a.reason != b.reason
        or (a.status == "sent" and bool(difference(a.asked, b.asked)))
        for a, b in rows
    )
    assert sum(change["count"] for change in found["changes"]) == differing
    assert found["same"] == (differing == 0)
    for change in found["changes"]:
        assert len(change["examples"]) == min(3, change["count"])


def test_a_change_names_its_kind_its_rule_and_the_paths() -> None:
    sent = Outcome("sent", "", [{"body": {"n": 1, "m": 2}}], [{"body": {"n": 1, "m": 2}}])
    found = one(
        [sent, sent, Outcome("filtered", "by x"), sent],
        [
            Outcome("sent", "", [{"body": {"n": 9, "m": 2}}], [{"body": {"n": 9, "m": 2}}]),
            Outcome("filtered", "dropped by clean"), Outcome("filtered", "by y"), Outcome("dead", "clean:3: KeyError"),
        ],
    )
    changes = {change["kind"]: change for change in found["changes"]}
    assert set(changes) == {"request", "sent → filtered", "reason", "sent → dead"}
    assert changes["request"]["examples"][0]["diff"] == [{"path": "[0].body.n", "before": 1, "after": 9}]
    assert changes["sent → filtered"]["reasons"] == {"dropped by clean": 1}
    assert changes["reason"]["reasons"] == {"filtered: by y": 1}
    assert (found["before"], found["after"]) == ({"sent": 3, "filtered": 1}, {"sent": 1, "filtered": 2, "dead": 1})


def test_a_secret_that_differs_is_told_without_its_value() -> None:
    before = Outcome("sent", "", [{"url": "https://x/?token=old"}], [{"url": "https://x/?token=***"}])
    after = Outcome("sent", "", [{"url": "https://x/?token=new"}], [{"url": "https://x/?token=***"}])
    found = one([before], [after])
    assert found["changes"][0]["examples"][0]["diff"] == [{"path": "[0].url", "secret": True}]
    assert "old" not in str(found)
    assert "new" not in str(found)


def test_new_removed_and_renamed_destinations_are_changes() -> None:
    rows = [Outcome("sent"), Outcome("filtered", "x")]
    assert one(None, rows)["state"] == "new"
    assert one(rows, None)["state"] == "removed"
    assert one(rows, rows, was="old")["state"] == "renamed"
    assert not one(None, rows)["same"]
    assert one(None, rows)["after"] == {"sent": 1, "filtered": 1}


def test_changed_keys_are_named_and_their_values_are_not() -> None:
    assert keys({"a": {"b": 1, "c": "x"}, "d": 1}, {"a": {"b": 2, "c": "x"}, "e": 1}) == ["a.b", "d", "e"]
