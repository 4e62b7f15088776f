"""How long dead letters and refused events are kept."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from dataplane.config.section import Model
from turnout.durations import PositiveDuration, PositiveSize

__all__ = ["DeadLetters", "RefusedEvents"]


class DeadLetters(Model):
    """Dead letters: events a destination has given up, kept with request and answer."""

    max_age: PositiveDuration = Field(
        timedelta(days=30), description="A dead letter older than this is dropped, said and counted.",
    )
    max_bytes: PositiveSize = Field(
        2_000_000_000, description="Most bytes of their files; beyond it the oldest are dropped.",
    )


class RefusedEvents(Model):
    """Refused events: what the gateway did not take from a known source, kept with the reason."""

    max_age: PositiveDuration = Field(
        timedelta(days=7), description="A refused event older than this is dropped.",
    )
    max_bytes: PositiveSize = Field(
        200_000_000, description="Most bytes of their files; beyond it the oldest are dropped.",
    )
