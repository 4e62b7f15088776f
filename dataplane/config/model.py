"""config.yaml as a model: every key, its default and its meaning.

Durations are written `15m`, `24h`, `7d`; sizes `500kB`, `10GB` or plain numbers. What a key means
is in its description, from which docs/configuration.md is generated.
"""

from __future__ import annotations

import ipaddress
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
    SecretStr,
    WithJsonSchema,
    model_validator,
)

from dataplane.config.backlog import Archive, Backlog
from dataplane.config.egress import Egress
from dataplane.config.letters import DeadLetters, RefusedEvents
from dataplane.config.scripts import Geolocation, Library, Transformation
from dataplane.config.section import File, Model, Text
from dataplane.config.tls import Tls
from turnout.durations import Duration, PositiveDuration, PositiveSize, Size

__all__ = [
    "ALERTS", "NAME", "Admin", "AlertChannel", "Alerts", "Archive", "Backlog", "Config", "DeadLetters", "Dedup",
    "DeliveryOverride", "DestinationConfig", "Egress", "JournalConfig", "Library", "LimitsConfig", "LogConfig",
    "Processes", "RefusedEvents", "Server", "Source", "Tls", "Transformation",
]

NAME = r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$"
"""What an id of a source, library, transformation or destination looks like."""


AlertKind = Literal[
    "backlog", "crash_loop", "dead_letters", "destination_down", "destination_paused", "disk", "log_closed",
    "log_full", "script", "state",
]
ALERTS: tuple[str, ...] = get_args(AlertKind)
"""What an alert can be about."""


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _some(value: list[str] | None) -> list[str] | None:
    if value is not None and not value:
        raise ValueError("an empty list takes events from no source; leave it out to take from all")
    return value


def _network(value: str) -> str:
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise ValueError("must be an address or a network such as 10.0.0.0/8") from None
    return value


def _web_address(value: SecretStr) -> SecretStr:
    if not re.fullmatch(r"https?://[^/\s]+\S*", value.get_secret_value()):
        raise ValueError("must be an https or http address")
    return value


def _origin(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*://[^/\s*]+", value):
        raise ValueError("must be an origin as browsers send it: https://shop.example, no path, no *")
    return value.lower()


def _write_key(value: str) -> str:
    if not value or ":" in value or not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("a write key is ASCII without ':' or blanks")
    return value


Name = Annotated[str, Field(pattern=NAME)]
Network = Annotated[str, AfterValidator(_network)]
Origin = Annotated[str, AfterValidator(_origin)]
WebAddress = Annotated[SecretStr, AfterValidator(_web_address)]
WriteKey = Annotated[str, AfterValidator(_write_key)]

_NAMES_SCHEMA = WithJsonSchema({
    "anyOf": [{"type": "string", "pattern": NAME},
              {"type": "array", "items": {"type": "string", "pattern": NAME}}],
})

Scripts = Annotated[list[Name], BeforeValidator(_listed), _NAMES_SCHEMA]


class LimitsConfig(Model):
    """Bounds on requests, checked before the work that they bound."""

    body: PositiveSize = Field(4 << 20, description="Largest request body as received.")
    decompressed: PositiveSize = Field(8 << 20, description="Largest body after gzip.")
    events: int = Field(5_000, ge=1, description="Most events in one request.")
    event: PositiveSize = Field(128 << 10, description="Largest single event.")
    connections: int = Field(10_000, ge=1, description="Most connections open at once.")
    header_timeout: PositiveDuration = Field(
        timedelta(seconds=10), description="A client must send its headers within this.",
    )
    body_timeout: PositiveDuration = Field(
        timedelta(seconds=30), description="A client must send its body within this.",
    )
    refused_bytes: Size = Field(
        50_000_000, description="Bytes of wholly refused requests kept per source and day.",
    )


class Server(Model):
    """The public port that SDKs speak to."""

    host: Text = Field("127.0.0.1", description="Address that SDKs connect to.")
    port: int = Field(8080, ge=0, le=65535, description="Port that SDKs connect to; 0 picks a free one.")
    trusted_proxies: list[Network] = Field(
        [], description="Addresses or networks whose X-Forwarded-For is believed.",
    )
    tls: Tls | None = Field(None, description="Serve HTTPS with this certificate.")
    limits: LimitsConfig = Field(LimitsConfig(), description="Bounds on requests.")
    drain: PositiveDuration = Field(
        timedelta(seconds=25),
        description="How long a stop may take to finish what is in flight; below the service manager's patience.",
    )


class Admin(Model):
    """The private port: admin API, metrics and console. Never an open one."""

    host: Text = Field("127.0.0.1", description="Address of the admin API, metrics and console.")
    port: int = Field(8081, ge=0, le=65535, description="Port of the admin API; 0 picks a free one.")
    token: SecretStr = Field(
        SecretStr(""),
        description="Bearer token; empty: made at first start, kept in `<data>/admin.token`.",
    )
    socket: File = Field(
        Path("data/admin.sock"),
        description="Unix socket the CLI speaks to; default: `admin.sock` in the folder `data` names.",
    )


class LogConfig(Model):
    """The log: the one place where accepted events live."""

    segment_bytes: PositiveSize = Field(64 << 20, description="A segment is closed at this size.")
    retention: Duration = Field(
        timedelta(days=7), description="How long events are kept after every destination is done with them.",
    )
    max_bytes: PositiveSize = Field(
        50_000_000_000,
        description="The log never grows beyond this; at the bound the gateway answers 503.",
    )
    min_free_bytes: Size = Field(
        500_000_000, description="Below this much free disk the gateway answers 503.",
    )


class Dedup(Model):
    """Duplicates: the same messageId from the same source, at an earlier position."""

    enabled: bool = Field(True, description="Drop an event whose messageId its source sent before.")
    window: Duration = Field(
        timedelta(days=1), description="How far back a messageId is remembered, at least.",
    )
    max_ids: int = Field(
        20_000_000, ge=1000, description="Most ids remembered; the oldest are forgotten first.",
    )


class JournalConfig(Model):
    """The journal: what was tried with which event, kept for `turnout explain`."""

    max_bytes: PositiveSize = Field(2_000_000_000, description="The oldest attempts are forgotten beyond this.")
    max_age: PositiveDuration = Field(
        timedelta(days=7), description="Attempts older than this are forgotten.",
    )


class Processes(Model):
    """How many processes do the work."""

    ingest: int = Field(
        1, ge=1, le=32,
        description="Processes that take requests; they share the port, each writes a part of the log.",
    )
    pipeline: int = Field(
        1, ge=1, le=32,
        description="Processes that deliver, each the events of its own users. `concurrency` of destinations,"
        " `transform`, and bounds in bytes of what they keep are divided among them, at least one each; `rate` holds"
        " for all together.",
    )
    transform: int = Field(1, ge=1, le=64, description="Workers that run transformations.")


class Source(Model):
    """Something that sends events: a website, an app, a server."""

    write_key: WriteKey | None = Field(None, description="Key that SDKs send; public by nature.")
    write_keys: list[WriteKey] = Field(
        [], description="Several keys, newest first, while one is being replaced.",
    )
    enabled: bool = Field(True, description="A disabled source answers 401.")
    origins: list[Origin] = Field([], description="Browser origins allowed to send; empty allows all.")
    rate: float | None = Field(
        None, gt=0, description="Events per second, over all processes; above it the source gets 429.",
    )
    trusted: bool = Field(
        False, description="Believe its receivedAt and request_ip; allow RECORD events.",
    )
    transformation: Scripts = Field(
        [], description="One transformation or a list, run in order, once for all destinations, before routing.",
    )

    @property
    def transformations(self) -> tuple[str, ...]:
        """Ids of its transformations, in running order."""
        return tuple(self.transformation)

    @property
    def keys(self) -> tuple[str, ...]:
        """All write keys, newest first."""
        return ((self.write_key,) if self.write_key else ()) + tuple(self.write_keys)

    @model_validator(mode="after")
    def _has_key(self) -> Source:
        if not self.keys:
            raise ValueError("needs a write_key (or write_keys)")
        return self


class DeliveryOverride(Model):
    """How to send; each key overrides the tool's own default, shown on the tool's page."""

    batch: int | None = Field(None, ge=1, le=10_000, description="Most events in one request.")
    batch_bytes: PositiveSize | None = Field(None, description="Most bytes in one request's body.")
    linger: Duration | None = Field(
        None, description="How long a batch waits to fill; only when `batch` is above 1.",
    )
    concurrency: int | None = Field(None, ge=1, le=256, description="Most requests in flight.")
    rate: float | None = Field(None, gt=0, description="Most requests per second.")
    timeout: PositiveDuration | None = Field(None, description="A request without an answer is given up.")
    retry_for: Duration | None = Field(None, description="How long an event is tried before it is dead.")
    retry_after: Duration | None = Field(None, description="The longest `Retry-After` of the tool that is obeyed.")
    hold_for: Duration | None = Field(
        None, description="How long an event that is retried holds back later ones of its user.",
    )
    order: Literal["user", "none"] | None = Field(
        None, description="`user` keeps the order of each user's events; `none` gives it up for speed.",
    )


class DestinationConfig(Model):
    """A tool that events are sent to."""

    type: Text = Field(description="The tool's slug: webhook, file …")
    name: Text | None = Field(
        None, description="Spelling in the integrations object; default: the tool's names.",
    )
    settings: dict[str, Any] = Field({}, repr=False, description="The tool's own settings; see its page.")
    transformation: Scripts = Field(
        [], description="One transformation or a list, run in order.",
    )
    sources: Annotated[list[Name] | None, AfterValidator(_some)] = Field(
        None, description="Sources it takes events from; default: all.",
    )
    enabled: bool = Field(True, description="A disabled destination keeps its backlog.")
    delivery: DeliveryOverride = Field(
        DeliveryOverride(), description="How to send; overrides the tool's defaults.",
    )
    backlog: Backlog = Field(Backlog(), description="How much it may leave undelivered.")
    start: Literal["now", "beginning"] = Field(
        "now", description="Where a new destination starts reading the log.",
    )
    was: Name | None = Field(
        None, description="The id it had before; its backlog and cursors are taken over.",
    )

    @property
    def transformations(self) -> tuple[str, ...]:
        """Ids of its transformations, in running order."""
        return tuple(self.transformation)


class AlertChannel(Model):
    """Somebody who is told of alerts; follows `egress`, and no redirect."""

    type: Literal["slack", "webhook"] = Field(
        description="`slack`: an incoming webhook of Slack; `webhook`: JSON by POST, see operations.md.",
    )
    url: WebAddress = Field(description="Where to; a secret, since whoever has it can write there.")
    headers: dict[str, SecretStr] = Field({}, description="Headers to send, such as Authorization.")
    only: list[AlertKind] = Field([], description="Kinds it is told of; default: all.")


class Alerts(Model):
    """What is told to people, once when it begins and once when it is over."""

    channels: dict[Name, AlertChannel] = Field({}, description="Who is told, by id.")
    hold: Duration = Field(
        timedelta(seconds=30), description="How long something must be so, or be over, before it is told.",
    )
    share: float = Field(
        0.8, gt=0, le=1, description="Part of the disk, the log or a backlog that is too much.",
    )
    full_in: Duration = Field(
        timedelta(hours=4), description="Undelivered events that fill the log sooner, at their rate, are too many.",
    )
    dead_letters: float = Field(
        10, gt=0, description="Dead letters of a destination in a minute that are too many.",
    )


class Config(Model):
    """The whole of config.yaml; paths are relative to its folder, and absolute in a parsed Config."""

    server: Server = Field(Server(), description="The public port that SDKs speak to.")
    admin: Admin = Field(Admin(), description="The private port: admin API, metrics and console.")
    data: File = Field(
        Path("data"), validate_default=True, description="Folder for everything Turnout stores.",
    )
    egress: Egress = Field(Egress(), description="What Turnout may reach.")
    log: LogConfig = Field(LogConfig(), description="The log of accepted events.")
    archive: Archive = Field(Archive(), description="Events that left a full backlog undelivered.")
    dedup: Dedup = Field(Dedup(), description="Duplicates.")
    journal: JournalConfig = Field(JournalConfig(), description="What was tried with which event.")
    dead_letters: DeadLetters = Field(DeadLetters(), description="How long dead letters are kept.")
    refused: RefusedEvents = Field(RefusedEvents(), description="How long refused events are kept.")
    processes: Processes = Field(Processes(), description="How many processes do the work.")
    sources: dict[Name, Source] = Field({}, description="What sends events, by id.")
    libraries: dict[Name, Library] = Field({}, description="Code that transformations import, by name.")
    library_folders: list[File] = Field(
        [], description="Folders whose every .py and .js file is a library, by the file's name.",
    )
    transformations: dict[Name, Transformation] = Field({}, description="Scripts, by id.")
    destinations: dict[Name, DestinationConfig] = Field({}, description="Where events go, by id.")
    alerts: Alerts = Field(Alerts(), description="What is told to people.")
    geolocation: Geolocation = Field(Geolocation(), description="Where addresses are.")
    sandbox: Literal["auto", "required", "off"] = Field(
        "auto",
        description="How transformations are locked up. `required`: no start without the system-call filter; `auto`: "
        "so on Linux, elsewhere with limits only; `off`: never the filter, for trusted authors only.",
    )
    discard: list[Name] = Field([], description="Ids of removed destinations whose backlog is given up.")
    _folder: Path = PrivateAttr(Path())

    @property
    def folder(self) -> Path:
        """The folder of config.yaml, which relative paths in a tool's settings start from."""
        return self._folder

    def model_post_init(self, context: Any) -> None:
        """Remember the folder that the loader handed in."""
        if isinstance(context, dict) and "folder" in context:
            self._folder = Path(context["folder"])

    @model_validator(mode="before")
    @classmethod
    def _socket_in_data(cls, value: Any) -> Any:
        """The socket's default lies in the folder that `data` names."""
        if not isinstance(value, dict):
            return value
        data, admin = value.get("data", "data"), value.get("admin", {})
        if not isinstance(data, str | Path) or not isinstance(admin, dict) or "socket" in admin:
            return value
        return {**value, "admin": {**admin, "socket": Path(data) / "admin.sock"}}
