"""S3: every event in objects of a bucket, by time and size."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, ClassVar

from destinations.s3.settings import S3Settings
from turnout import Context, Delivery, Destination, Event, Record
from turnout.values import moment

__all__ = ["S3"]

_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:[0-5]\d:[0-5]\d(\.\d{1,9})?Z", re.ASCII)
"""How Turnout writes times: of such a one the hour stands in the text."""


class S3(Destination[S3Settings]):
    """The event as it is; `client.py` makes one object of each batch and folder.

    A record's `target` is the folder of its object. It follows from the event alone, so that a batch
    that is tried again has the same objects.
    """

    slug: ClassVar = "s3"
    names: ClassVar = ("S3", "Amazon S3")
    delivery = Delivery(
        batch=10_000, batch_bytes=32_000_000, linger=timedelta(minutes=5), concurrency=1,
        timeout=timedelta(seconds=60),
    )
    settings_type: ClassVar = S3Settings
    records: ClassVar = True

    def __init__(self, settings: S3Settings) -> None:
        super().__init__(settings)
        prefix = settings.prefix.strip("/")
        self._folder = f"{prefix}/{settings.layout}".strip("/")
        self._dated = any(f"{{{name}}}" in settings.layout for name in ("date", "year", "month", "day", "hour"))

    def request(self, event: Event, at: Context) -> Record:
        """A line of an object in the folder of the hour at which the event was received."""
        names = {"source": _plain(event.source), "type": _plain(event.kind)}
        if self._dated:
            received = event.message.get("receivedAt")
            stamp = _STAMP.fullmatch(received) if isinstance(received, str) else None
            names |= (_hour(stamp[0][:13]) if stamp else None) or _dates(_received(received) or at.now)
        return Record(self._folder.format_map(names), None, event.raw)


def _received(value: Any) -> datetime | None:
    """When the event was received, as UTC; None where that is not known, or is no year of our time."""
    found = moment(value) if isinstance(value, str) else None
    return found if found is not None and 1970 <= found.year <= 9999 else None


@lru_cache(1024)
def _hour(text: str) -> Mapping[str, str] | None:
    """The names of an hour such as `2026-01-02T03`; None for one that is in no calendar."""
    when = _received(f"{text}:00Z")
    return None if when is None else _dates(when)


def _dates(when: datetime) -> dict[str, str]:
    day = when.astimezone(UTC).strftime("%Y-%m-%d-%H")
    return {"date": day[:10], "year": day[:4], "month": day[5:7], "day": day[8:10], "hour": day[11:]}


@lru_cache(256)
def _plain(name: str) -> str:
    """What may stand in a folder's name."""
    return "".join(c if c.isalnum() and c.isascii() else "_" for c in name[:64]) or "unknown"
