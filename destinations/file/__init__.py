"""File: every event as a line of JSON in a folder of this machine."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from destinations.file.settings import FileSettings
from turnout import Context, Delivery, Destination, Event, Record, codec

__all__ = ["File"]


class File(Destination[FileSettings]):
    """One compact JSON line per event; `client.py` writes, syncs and rotates."""

    slug: ClassVar = "file"
    names: ClassVar = ("File",)
    delivery = Delivery(
        batch=1_000, batch_bytes=5_000_000, linger=timedelta(milliseconds=200), concurrency=1
    )
    settings_type: ClassVar = FileSettings
    records: ClassVar = True

    def request(self, event: Event, at: Context) -> Record:
        """The event as a line; the target is the UTC day on which it is written."""
        return Record(at.now.strftime("%Y-%m-%d"), None, codec.dumps(event.message))
