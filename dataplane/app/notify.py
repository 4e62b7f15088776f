"""What a service manager is told: ready, reloading, stopping, alive (sd_notify(3)).

The protocol is one datagram to the socket that NOTIFY_SOCKET names; without it nothing is sent.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time

from dataplane.metrics.log import logger

__all__ = ["alive", "ready", "reloading", "stopping"]

_log = logger()


def ready(status: str) -> None:
    """Started, or reloaded; `status` is a line for `systemctl status`."""
    _send(f"READY=1\nSTATUS={status}")


def reloading() -> None:
    """A reload began; `ready` ends it."""
    # The time is asked for by Type=notify-reload (systemd 253 and newer), which compares it with its own.
    _send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")


def stopping() -> None:
    """The end began."""
    _send("STOPPING=1\nSTATUS=finishing what is in flight")


async def alive() -> None:
    """Answer the watchdog (WATCHDOG_USEC), twice as often as it wants, for ever; ends where there is none."""
    period = os.environ.get("WATCHDOG_USEC", "")
    if not period.isdigit() or os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return
    while True:
        _send("WATCHDOG=1")
        await asyncio.sleep(int(period) / 2e6)


def _send(message: str) -> None:
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):  # Linux's abstract names
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | getattr(socket, "SOCK_CLOEXEC", 0)) as sock:
            sock.settimeout(1)
            sock.connect(address)
            sock.sendall(message.encode())
    except OSError as error:  # the service manager's trouble is not ours
        _log.warning("notify.failed", reason=error.strerror or type(error).__name__)
