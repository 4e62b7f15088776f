"""What SDKs send, and how it becomes events: pure, bytes in and values out.

`PROTOCOLS` maps the name that an envelope carries to the protocol that reads its body.
"""

from __future__ import annotations

from dataplane.protocols.rudder import Rudder
from turnout.protocol import Protocol

__all__ = ["PROTOCOLS"]

PROTOCOLS: dict[str, Protocol] = {Rudder.name: Rudder()}
"""Every protocol by its name."""
