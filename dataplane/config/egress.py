"""The `egress` section: what Turnout may reach, and what stands in for it."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from dataplane.config.section import Model

__all__ = ["Egress"]


def _host(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", value.lower()):
        raise ValueError("a host such as track.customer.io, without scheme, port or path")
    return value.lower()


def _server(value: str) -> str:
    try:
        url = urlsplit(value)
        good = url.scheme in ("http", "https") and bool(url.hostname) and (url.port or 1) > 0
    except ValueError:
        good = False
    if not good or "@" in url.netloc or url.path not in ("", "/") or url.query or url.fragment:
        raise ValueError("an address such as http://127.0.0.1:9001, without a path")
    return value.rstrip("/")


class Egress(Model):
    """What Turnout may reach."""

    allow_private: bool = Field(
        False, description="Allow destinations at private, loopback and link-local addresses.",
    )
    stand_ins: dict[Annotated[str, AfterValidator(_host)], Annotated[str, AfterValidator(_server)]] = Field(
        {},
        description="For a rehearsal: hosts of tools, and the server that takes what destinations would send there, "
        "with the credentials. The `Host` header stays the tool's.",
    )
