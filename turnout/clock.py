"""Time as the adapters and protocols see it: handed in, never read."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

__all__ = ["Clock", "corrected", "from_millis", "iso", "parse", "retry_after"]


_SECONDS = re.compile(r"\d+(\.\d+)?", re.ASCII)
_YEAR = 365 * 86_400.0


class Clock(Protocol):
    """Where the engine reads time; tests hand in a fake one (`turnout.testing`)."""

    def now(self) -> datetime:
        """Wall clock, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never run backwards."""
        ...


_TWO, _THREE = [f"{n:02}" for n in range(60)], [f"{n:03}" for n in range(1000)]


def iso(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds: `2026-11-23T09:36:56.779Z`."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    m = moment  # by tables: every event has some, and isoformat takes four times as long
    return (
        f"{m.year:04}-{_TWO[m.month]}-{_TWO[m.day]}T{_TWO[m.hour]}:{_TWO[m.minute]}:{_TWO[m.second]}"
        f".{_THREE[m.microsecond // 1000]}Z"
    )


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def from_millis(millis: int) -> datetime:
    """A moment from Unix milliseconds, exactly; raises OverflowError beyond the years 1 to 9999."""
    return _EPOCH + timedelta(milliseconds=millis)


def parse(value: Any) -> datetime | None:
    """Parse a timestamp of an SDK; None where it is not one. A time without a zone is UTC."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def corrected(received: datetime, sent: datetime | None, original: datetime | None) -> datetime:
    """When an event happened by the server's clock: `received - (sent - original)`.

    A client's clock may be years off; only the distance between its own two stamps is trusted.
    Where either stamp is missing, or the distance leaves the calendar, it is `received`.
    Source: rudder-server processor, `receivedAt - (sentAt - originalTimestamp)`.
    """
    if sent is None or original is None:
        return received
    try:
        return received - (sent - original)
    except OverflowError:
        return received


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds a `Retry-After` header asks for: a number or an HTTP date (RFC 9110 §10.2.3).

    Fractions are taken too (some tools send `0.5`). Never negative, never more than a year; None
    where the header is missing or says nothing.
    """
    if value is None:
        return None
    text = value.strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), _YEAR)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        return min(max(0.0, (moment - now) / timedelta(seconds=1)), _YEAR)
    except OverflowError:
        return None
