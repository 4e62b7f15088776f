"""Declared metrics, their sums over processes, and their page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dataplane.metrics.declarations import METRICS, by_name
from dataplane.metrics.exposition import expose, merge, samples, undeclared
from dataplane.metrics.page import page

ROOT = Path(__file__).parents[2]


def test_every_metric_is_declared_once_and_well_named() -> None:
    assert len(by_name) == len(METRICS)
    for metric in METRICS:
        assert re.fullmatch(r"turnout_[a-z]+(_[a-z]+)*", metric.name)
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        assert metric.meaning.endswith((".", "`."))
        assert metric.action.endswith((".", "`."))


def test_the_page_is_made_from_the_declarations() -> None:
    assert (ROOT / "docs/metrics.md").read_text() == page(), "python -m dataplane.metrics.page > docs/metrics.md"


def test_counters_of_processes_add_up_and_gauges_follow_their_rule() -> None:
    found = [
        ("turnout_events_total", ("hook", "delivered"), 3.0), ("turnout_events_total", ("hook", "delivered"), 4.0),
        ("turnout_events_total", ("crm", "delivered"), 1.0),
        ("turnout_log_open", (), 1.0), ("turnout_log_open", (), 0.0),
        ("turnout_lag_seconds", ("hook",), 2.0), ("turnout_lag_seconds", ("hook",), 9.0),
    ]
    assert merge(found) == {
        ("turnout_events_total", ("hook", "delivered")): 7.0,
        ("turnout_events_total", ("crm", "delivered")): 1.0,
        ("turnout_log_open", ()): 0.0,
        ("turnout_lag_seconds", ("hook",)): 9.0,
    }


def test_undeclared_names_and_labels_are_found_and_left_out() -> None:
    found = [("turnout_made_up", (), 1.0), ("turnout_lag_events", (), 1.0), ("turnout_log_bytes", (), 5.0)]
    assert undeclared(found) == {"turnout_made_up", "turnout_lag_events with 0 labels instead of 1"}
    assert list(merge(found)) == [("turnout_log_bytes", ())]


def test_prometheus_reads_what_we_write() -> None:
    hostile = 'a"b\\c\nd'
    found = [("turnout_lag_events", (hostile,), 2.0), ("turnout_reloads_total", ("applied",), 1.0)]
    families = {f.name: f for f in text_string_to_metric_families(expose(found).decode())}
    assert families["turnout_lag_events"].samples[0].labels == {"destination": hostile}
    assert families["turnout_reloads"].samples[0].value == 1.0
    assert families["turnout_reloads"].type == "counter"


@pytest.mark.parametrize("raw", [["x", [], "1"], [1, [], 1], ["x", "y", 1], ["x", []]])
def test_a_sample_of_another_shape_is_an_error(raw: list[object]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - unpacking says it in its own words
        list(samples([raw]))
