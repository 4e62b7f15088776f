"""Hosts as they are compared: in one form, however they are written."""

from __future__ import annotations

__all__ = ["normal_host"]


def normal_host(host: str) -> str:
    """A host in small letters, without the dot that ends a name written to the root (RFC 1034, section 3.1)."""
    return host.lower().removesuffix(".")
