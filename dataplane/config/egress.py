"""The `egress` section: what Turnout may reach, and what stands in for it."""

from __future__ import annotations

import re
from collections import Counter
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, field_validator

from dataplane.config.section import Model
from turnout.hosts import normal_host

__all__ = ["Egress"]


def _host(value: str) -> str:
    host = normal_host(value)
    if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", host):
        raise ValueError("a host such as track.customer.io, without scheme, port or path")
    return host


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

    @field_validator("stand_ins", mode="before")
    @classmethod
    def _once(cls, value: Any) -> Any:
        """Keys that mean the same host would leave one of them out without a word."""
        hosts = Counter(normal_host(host) for host in value if isinstance(host, str)) if isinstance(value, dict) else {}
        for host, times in hosts.items():
            if times > 1:
                raise ValueError(f"{host} stands here more than once, written in several ways")
        return value
