"""What config.yaml says of a destination, made ready to be used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dataplane.deliver.exchange import Client, Sender
from dataplane.deliver.journal import Origin
from dataplane.deliver.settle import Replayed
from dataplane.pipeline.route import Gate
from transformations.base import Script
from turnout.destination import Delivery, Destination

__all__ = ["Plan"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What config.yaml says of a destination, made ready: swapped whole at a reload.

    Without a `gate` nothing is filtered (a replay into a file). `replay` is set in the plan of a replay.
    """

    id: str
    adapter: Destination[Any]
    delivery: Delivery
    gate: Gate | None
    chain: tuple[Script, ...]
    enabled: bool
    trusted: frozenset[str]
    sender: Sender
    client: Client | None
    fingerprint: str
    origin: Origin
    replay: Replayed | None = None
