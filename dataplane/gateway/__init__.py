"""The public port: SDK requests in, durable records out, an honest answer back."""

from __future__ import annotations

from dataplane.gateway.server import Gateway

__all__ = ["Gateway"]
