"""Samples of several processes, added up and written as Prometheus text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dataplane.metrics.declarations import METRICS, Metric, Sample, by_name

__all__ = ["CONTENT_TYPE", "expose", "merge", "samples", "undeclared"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def samples(raw: Iterable[Iterable[object]]) -> Iterator[Sample]:
    """Samples from what a role answered to `stats`; raises ValueError for another shape."""
    for item in raw:
        name, labels, number = item
        if not isinstance(name, str) or not isinstance(labels, list | tuple):
            raise ValueError("a sample is [name, [label values], number]")
        if not isinstance(number, int | float):
            raise ValueError(f"{name}: the number of a sample is a number")
        yield name, tuple(str(label) for label in labels), float(number)


def undeclared(found: Iterable[Sample]) -> set[str]:
    """Names that declarations.py does not have, and declared ones with another number of labels."""
    wrong = set()
    for name, labels, _ in found:
        metric = by_name.get(name)
        if metric is None:
            wrong.add(name)
        elif len(metric.labels) != len(labels):
            wrong.add(f"{name} with {len(labels)} labels instead of {len(metric.labels)}")
    return wrong


def merge(found: Iterable[Sample]) -> dict[tuple[str, tuple[str, ...]], float]:
    """One number per name and labels, over all processes; undeclared samples are left out."""
    merged: dict[tuple[str, tuple[str, ...]], float] = {}
    for name, labels, number in found:
        metric = by_name.get(name)
        if metric is None or len(metric.labels) != len(labels):
            continue
        before = merged.get((name, labels))
        if before is None:
            merged[name, labels] = number
        elif metric.merge == "sum":
            merged[name, labels] = before + number
        else:
            merged[name, labels] = (max if metric.merge == "max" else min)(before, number)
    return merged


def expose(found: Iterable[Sample]) -> bytes:
    """The text that Prometheus scrapes."""
    # prometheus_client costs 100 ms to import; only a scrape needs it.
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
    from prometheus_client.registry import Collector

    by_metric: dict[str, list[tuple[tuple[str, ...], float]]] = {}
    for (name, labels), number in sorted(merge(found).items()):
        by_metric.setdefault(name, []).append((labels, number))

    class Merged(Collector):
        def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
            for metric in METRICS:
                if metric.name in by_metric:
                    family = _family(metric)
                    for labels, number in by_metric[metric.name]:
                        family.add_metric(list(labels), number)
                    yield family

    def _family(metric: Metric) -> CounterMetricFamily | GaugeMetricFamily:
        make = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
        return make(metric.name, metric.meaning, labels=metric.labels)

    registry = CollectorRegistry()
    registry.register(Merged())
    return generate_latest(registry)
