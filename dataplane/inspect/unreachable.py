"""Addresses that a configuration names and that its `egress` refuses: what is sent there dies, event by event."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from pathlib import Path as FilePath
from typing import Any
from urllib.parse import urlsplit

from dataplane.config import Config, Finding
from dataplane.config.diagnostic import Path
from dataplane.config.model import DestinationConfig
from dataplane.deliver.guard import blocked
from destinations import registry
from turnout.errors import Fixable
from turnout.hosts import normal_host

__all__ = ["unreachable"]

_SAID = (
    "this address is private, and private addresses are refused: every event to it dies as blocked "
    "(`egress: {allow_private: true}` lets it be reached)"
)


def unreachable(config: Config) -> Iterator[Finding]:
    """A warning for each address in a destination's settings, or of a stand-in, that is private as written.

    Names are not looked up, `localhost` and what is below it aside (RFC 6761, section 6.3).
    """
    if config.egress.allow_private:
        return
    for ident, destination in config.destinations.items():
        found = [
            path for path, text in _texts(destination.settings, ("destinations", ident, "settings"))
            if (host := _host(text)) not in config.egress.stand_ins and _private(host)
        ]
        if not found and any(_private(host) for host in _hosts(destination)):
            found.append(("destinations", ident, "settings"))
        yield from (Finding(path, _SAID, "warning") for path in found)
    for host, server in config.egress.stand_ins.items():
        if _private(_host(server)):
            yield Finding(("egress", "stand_ins", host), _SAID, "warning")


def _hosts(destination: DestinationConfig) -> Sequence[str]:
    """What a tool that is not HTTP connects to; what else may be wrong with it is said elsewhere."""
    try:
        made = registry.build(destination.type, destination.settings)
        client = registry.client(destination.type, made.settings, base=FilePath(), delivery=made.delivery)
    except (Fixable, ValueError):
        return ()
    return getattr(client, "hosts", ()) if made.records else ()


def _texts(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, (*path, str(key)))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _texts(item, (*path, index))


def _host(text: str) -> str:
    """The host of an http(s) address in its normal form, "" of any other text."""
    if not re.match(r"https?://", text, re.IGNORECASE):
        return ""
    try:
        return normal_host(urlsplit(text).hostname or "")
    except ValueError:  # no address at all; the tool's own model judges it
        return ""


def _private(host: str) -> bool:
    host = normal_host(host)
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:  # a name
        return False
    return blocked(host)
