"""config.yaml as a model: every key, its default and its meaning.

Durations are written `15m`, `24h`, `7d`; sizes `500kB`, `10GB` or plain numbers. What a key means
is in its description, from which docs/configuration.md is generated.
"""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

__all__ = [
    "Admin", "Backlog", "Config", "Dedup", "DeliveryOverride", "DestinationConfig", "Egress", "Fetch",
    "Library", "LimitsConfig", "LogConfig", "Processes", "Server", "Source", "Tls", "Transformation",
]

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZES = {"": 1, "b": 1, "kb": 1000, "mb": 1000**2, "gb": 1000**3, "tb": 1000**4,
          "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40}


def _duration(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str) and (m := re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*", value)):
        return timedelta(seconds=float(m[1]) * _UNITS[m[2]])
    if isinstance(value, int | float) and not isinstance(value, bool):
        return timedelta(seconds=value)
    raise ValueError("must be a duration such as 500ms, 10s, 15m, 24h or 7d")


def _size(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        m = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", value)
        if m and m[2].lower() in _SIZES:
            return int(float(m[1]) * _SIZES[m[2].lower()])
    raise ValueError("must be a size such as 500kB, 10MB or 2GB")


Duration = Annotated[timedelta, BeforeValidator(_duration)]
Size = Annotated[int, BeforeValidator(_size), Field(ge=0)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$")]


class Model(BaseModel):
    """Base of every section: unknown keys are errors, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Tls(Model):
    certificate: Path = Field(description="PEM file with the certificate chain.")
    key: Path = Field(description="PEM file with the private key.")


class LimitsConfig(Model):
    body: Size = Field(4 << 20, description="Largest request body as received.")
    decompressed: Size = Field(8 << 20, description="Largest body after gzip.")
    events: int = Field(5_000, ge=1, description="Most events in one request.")
    event: Size = Field(128 << 10, description="Largest single event.")
    connections: int = Field(10_000, ge=1, description="Most connections open at once.")
    header_timeout: Duration = Field(timedelta(seconds=10), description="A client must send its headers within this.")
    body_timeout: Duration = Field(timedelta(seconds=30), description="A client must send its body within this.")
    refused_bytes: Size = Field(50_000_000, description="Bytes of wholly refused requests kept per source and day.")


class Server(Model):
    host: str = Field("127.0.0.1", description="Address that SDKs connect to.")
    port: int = Field(8080, ge=0, le=65535, description="Port that SDKs connect to; 0 picks a free one.")
    trusted_proxies: list[str] = Field([], description="Addresses or networks whose X-Forwarded-For is believed.")
    tls: Tls | None = Field(None, description="Serve HTTPS with this certificate.")
    limits: LimitsConfig = Field(LimitsConfig(), description="Bounds on requests.")


class Admin(Model):
    host: str = Field("127.0.0.1", description="Address of the admin API, metrics and console.")
    port: int = Field(8081, ge=0, le=65535, description="Port of the admin API; 0 picks a free one.")
    token: SecretStr = Field(SecretStr(""), description="Bearer token; empty: made at first start, kept in <data>/admin.token.")
    socket: Path = Field(Path("data/admin.sock"), description="Unix socket the CLI speaks to.")


class Egress(Model):
    allow_private: bool = Field(False, description="Allow destinations at private, loopback and link-local addresses.")


class LogConfig(Model):
    segment_bytes: Size = Field(64 << 20, description="A segment is closed at this size.")
    retention: Duration = Field(timedelta(days=7), description="How long events are kept after every destination is done with them.")
    max_bytes: Size = Field(50_000_000_000, description="The log never grows beyond this; at the bound the gateway answers 503.")
    min_free_bytes: Size = Field(500_000_000, description="Below this much free disk the gateway answers 503.")


class Dedup(Model):
    enabled: bool = Field(True, description="Drop an event whose messageId its source sent before.")
    window: Duration = Field(timedelta(days=1), description="How far back a messageId is remembered, at least.")
    max_ids: int = Field(20_000_000, ge=1000, description="Most ids remembered; the oldest are forgotten first.")


class Processes(Model):
    transform: int = Field(1, ge=1, le=64, description="Workers that run transformations.")


class Source(Model):
    write_key: str | None = Field(None, description="Key that SDKs send; public by nature.")
    write_keys: list[str] = Field([], description="Several keys, newest first, while one is being replaced.")
    enabled: bool = Field(True, description="A disabled source answers 401.")
    origins: list[str] = Field([], description="Browser origins allowed to send; empty allows all.")
    rate: float | None = Field(None, gt=0, description="Events per second; above it the source gets 429.")
    trusted: bool = Field(False, description="Believe its receivedAt and request_ip; allow RECORD events.")

    @property
    def keys(self) -> tuple[str, ...]:
        """All write keys, newest first."""
        return ((self.write_key,) if self.write_key else ()) + tuple(self.write_keys)

    @model_validator(mode="after")
    def _has_key(self) -> Source:
        if not self.keys:
            raise ValueError("needs a write_key (or write_keys)")
        for key in self.keys:
            if ":" in key or not key or not key.isascii() or any(c.isspace() for c in key):
                raise ValueError("a write key is ASCII without ':' or blanks")
        return self


class Library(Model):
    file: Path = Field(description="The library's source file.")
    language: Literal["python"] | None = Field(None, description="Default: by the file's suffix.")


class Fetch(Model):
    allow: list[str] = Field([], description="Hosts the script may reach.")


class Transformation(Model):
    file: Path = Field(description="The script's source file.")
    language: Literal["python"] | None = Field(None, description="Default: by the file's suffix.")
    timeout: Duration = Field(timedelta(seconds=4), description="A batch that runs longer is killed.")
    memory: Size = Field(256 << 20, description="Memory of the worker that runs it.")


class DeliveryOverride(Model):
    batch: int | None = Field(None, ge=1, le=10_000)
    batch_bytes: Size | None = None
    linger: Duration | None = None
    concurrency: int | None = Field(None, ge=1, le=256)
    rate: float | None = Field(None, gt=0)
    timeout: Duration | None = None
    retry_for: Duration | None = None
    hold_for: Duration | None = None
    order: Literal["user", "none"] | None = None


class Backlog(Model):
    max_age: Duration = timedelta(days=7)
    max_bytes: Size | None = None
    when_full: Literal["archive", "stop_intake"] = "archive"


class DestinationConfig(Model):
    type: str = Field(description="The tool's slug: webhook, file …")
    name: str | None = Field(None, description="Spelling in the integrations object; default: the tool's names.")
    settings: dict[str, Any] = Field({}, description="The tool's own settings; see its page.")
    transformation: Name | list[Name] = Field([], description="One transformation or a list, run in order.")
    sources: list[Name] | None = Field(None, description="Sources it takes events from; default: all.")
    enabled: bool = Field(True, description="A disabled destination keeps its backlog.")
    delivery: DeliveryOverride = Field(DeliveryOverride(), description="How to send; overrides the tool's defaults.")
    start: Literal["now", "beginning"] = Field("now", description="Where a new destination starts reading the log.")
    was: Name | None = Field(None, description="The id it had before; its backlog and cursors are taken over.")

    @property
    def transformations(self) -> tuple[str, ...]:
        """Ids of its transformations, in running order."""
        return (self.transformation,) if isinstance(self.transformation, str) else tuple(self.transformation)


class Config(Model):
    server: Server = Server()
    admin: Admin = Admin()
    data: Path = Field(Path("data"), description="Folder for everything Turnout stores.")
    egress: Egress = Egress()
    log: LogConfig = LogConfig()
    dedup: Dedup = Dedup()
    processes: Processes = Processes()
    sources: dict[Name, Source] = {}
    libraries: dict[Name, Library] = {}
    transformations: dict[Name, Transformation] = {}
    destinations: dict[Name, DestinationConfig] = {}
    discard: list[Name] = Field([], description="Ids of removed destinations whose backlog is given up.")
