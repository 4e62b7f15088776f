"""Bounds of what is not delivered: `destinations.*.backlog`, and the archive behind it."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import Field

from dataplane.config.section import Model
from turnout.durations import PositiveDuration, PositiveSize

__all__ = ["Archive", "Backlog"]


class Backlog(Model):
    """How much a destination may leave undelivered, so that it never fills the log for the others.

    Past either bound its oldest undelivered events move to the archive, a tenth of the bound at a
    time; events that were tried already stay with its exceptions.
    """

    max_age: PositiveDuration = Field(
        timedelta(days=7), description="The oldest undelivered event may be this old.",
    )
    max_bytes: PositiveSize | None = Field(
        None,
        description="Bytes of the log held back for it; default: half of what the log may have, "
        "and never more than four fifths of it.",
    )
    when_full: Literal["archive", "stop_intake"] = Field(
        "archive",
        description="`archive` moves events out of the way; `stop_intake` lets the gateway answer 503 to "
        "every source until the backlog is a tenth below its bound.",
    )


class Archive(Model):
    """Events that left a full backlog undelivered, for all destinations together."""

    max_age: PositiveDuration = Field(
        timedelta(days=90), description="Events received longer ago than this are deleted, counted and said.",
    )
    max_bytes: PositiveSize = Field(
        20_000_000_000, description="Bytes on disk, compressed; beyond, the oldest are deleted, counted and said.",
    )
