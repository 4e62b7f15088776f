"""Why a port cannot be listened on, as one sentence."""

from __future__ import annotations

import errno
import os

__all__ = ["unheard"]


def unheard(error: OSError, key: str) -> str:
    """The system's own words, and what to change where the port is taken; `key` is the setting of the port.

    Event loops wrap the system's words into a sentence with the address, which the caller has said.
    """
    said = os.strerror(error.errno) if error.errno else str(error)
    return f"{said}; end what listens there, or change {key}" if error.errno == errno.EADDRINUSE else said
