"""Which source a request belongs to, and what it may do."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
from aiohttp import web

from dataplane.config.model import Config, Source
from dataplane.gateway.limits import Bucket, Quota, Rates
from dataplane.gateway.replies import Rejected

__all__ = ["Closed", "Counts", "Intake", "Sources"]

INVALID_KEY = "the write key is unknown or its source is disabled"


@dataclass(slots=True)
class Counts:
    """What was counted of one source since the start; `statuses` by HTTP status."""

    accepted: int = 0
    refused: int = 0
    slow: int = 0
    received_bytes: int = 0
    kept_bytes: int = 0
    unkept: int = 0
    statuses: dict[int, int] = field(default_factory=dict)


class Closed(NamedTuple):
    """A 503: its code and message, and the seconds after which to come again."""

    code: str
    message: str
    retry_after: float


@dataclass(slots=True)
class Intake:
    """One source as the gateway sees it. Counters and quota outlive a reload; `closed` says why it
    takes nothing for now."""

    id: str
    trusted: bool
    origins: frozenset[str]
    bucket: Bucket | None
    counts: Counts
    quota: Quota
    closed: Closed | None = None


class _Key(msgspec.Struct, gc=False):
    writeKey: str | None = None


_key = msgspec.json.Decoder(_Key)


class Sources:
    """Enabled sources by write key. Immutable; a reload builds another from it."""

    def __init__(
        self, config: Config, now: float, before: Sources | None = None, rates: Rates | None = None
    ) -> None:
        self._rates = rates or Rates()
        self._keys: dict[str, Intake] = {}
        self.by_id: dict[str, Intake] = {}
        # Counters of removed sources stay: a counter that shrinks would read as a restart.
        self.counts: dict[str, Counts] = dict(before.counts) if before else {}
        for name, source in config.sources.items():
            intake = self._intake(name, source, now, before)
            self.by_id[name] = intake
            if source.enabled:
                for key in source.keys:
                    self._keys.setdefault(key, intake)
        # The usual header, looked up without decoding it.
        self.basic: Mapping[str | None, Intake] = {
            f"Basic {base64.b64encode(f'{key}:'.encode()).decode()}": intake
            for key, intake in self._keys.items()
        }

    def _intake(self, name: str, source: Source, now: float, before: Sources | None) -> Intake:
        old = before.by_id.get(name) if before else None
        bucket = old.bucket if old else None
        if source.rate is None:
            bucket = None
        elif bucket is None or bucket.rate != source.rate:
            bucket = Bucket(source.rate, now, self._rates.cell(name))
        return Intake(
            name,
            source.trusted,
            frozenset(origin.lower().rstrip("/") for origin in source.origins),
            bucket,
            self.counts.setdefault(name, Counts()),
            old.quota if old else Quota(),
        )

    def of_request(self, request: web.Request) -> Intake | None:
        """The source by Basic user, `X-Write-Key` or `?writeKey=`, in this order.

        None where the request names no key, so that only its body can; raises `Rejected` (401)
        for a key that is not known.
        """
        found = self.basic.get(request.headers.get("Authorization"))
        if found is not None:
            return found
        key = (
            _basic_user(request.headers.get("Authorization"))
            or request.headers.get("X-Write-Key", "").partition(":")[0]
            or request.query.get("writeKey", "")
        )
        return self._find(key) if key else None

    def of_body(self, body: bytes) -> Intake:
        """The source by the body's `writeKey`; raises `Rejected` (401)."""
        try:
            key = _key.decode(body).writeKey
        except (ValueError, RecursionError):
            key = None  # what is wrong with the body is told only to those who may send
        if not key or key == "***":
            raise Rejected(401, "missing_write_key", "send the write key as the user of Basic authentication")
        return self._find(key)

    def _find(self, key: str) -> Intake:
        found = self._keys.get(key)
        if found is None:
            raise Rejected(401, "invalid_write_key", INVALID_KEY)
        return found


def _basic_user(header: str | None) -> str:
    """The user of a Basic header; the password is ignored. "" where there is none."""
    scheme, _, token = (header or "").strip().partition(" ")
    if scheme.lower() != "basic":
        return ""
    token = token.strip()
    try:
        decoded = base64.b64decode(token + "=" * (-len(token) % 4)).decode()
    except (binascii.Error, ValueError):
        return ""
    return decoded.partition(":")[0]
