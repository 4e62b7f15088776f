"""docs/metrics.md, made from the declarations: `python -m dataplane.metrics.page > docs/metrics.md`."""

from __future__ import annotations

import sys

from dataplane.metrics.declarations import METRICS

__all__ = ["page"]

_HEAD = """\
# Metrics

<!-- Made from dataplane/metrics/declarations.py by `python -m dataplane.metrics.page`; do not edit. -->

`GET /metrics` on the admin port answers Prometheus text. It takes the admin token as a bearer token:
`curl -H "Authorization: Bearer $(cat data/admin.token)" http://127.0.0.1:8081/metrics`. The numbers of
all processes are added up; a role that was restarted counts from zero again, as Prometheus expects.
No label holds personal data: labels are names from config.yaml, HTTP statuses and fixed words.
"""


def page() -> str:
    """The whole page as Markdown."""
    parts = [_HEAD]
    for metric in METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels) or "none"
        parts.append(
            f"## {metric.name}\n\n{metric.meaning}\n\n"
            f"- Kind: {metric.kind} · unit: {metric.unit} · labels: {labels}\n"
            f"- What to do: {metric.action}\n"
        )
    return "\n".join(parts)


if __name__ == "__main__":
    sys.stdout.write(page())
