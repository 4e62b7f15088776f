"""One request of an SDK, from its headers to its answer."""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import ClientError, HttpVersion11, web

from dataplane.config.model import Config
from dataplane.gateway import cors, encoding, replies
from dataplane.gateway.address import Proxies
from dataplane.gateway.connection import Connection
from dataplane.gateway.limits import Rates
from dataplane.gateway.replies import Reasons, Rejected
from dataplane.gateway.sources import Counts, Intake, Sources
from dataplane.log.base import LogWriter
from dataplane.protocols import record
from turnout.clock import Clock
from turnout.errors import LogClosed, LogFull, Refused
from turnout.protocol import Envelope, Limits, Parsed, Protocol, Route

__all__ = ["Handler", "Ingest", "Settings"]

FULL_RETRY = 5.0
CLOSED_RETRY = 30.0
BUSY_RETRY = 1.0
MEMORY = 64 << 20
"""Bytes of bodies held at once; a request beyond is asked to come again."""
ID_LENGTH = 512
"""Longest `AnonymousId` header that is believed."""
STAMP_LENGTH = 64
"""Longest timestamp that is one."""

_log = logging.getLogger(__name__)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Settings:
    """What a config says to the gateway; swapped between requests. `body_timeout` in seconds."""

    sources: Sources
    limits: Limits
    body_timeout: float
    refused_bytes: int
    proxies: Proxies

    @classmethod
    def of(
        cls, config: Config, now: float, before: Settings | None = None, rates: Rates | None = None
    ) -> Settings:
        """From a config; counters, rates and quotas of sources are taken over from `before`.

        Bounds on what is held or kept are for the machine: each ingest process has its part of them.
        """
        limits = config.server.limits
        return cls(
            Sources(config, now, before.sources if before else None, rates),
            Limits(limits.body, limits.decompressed, limits.events, limits.event),
            limits.body_timeout.total_seconds(),
            limits.refused_bytes // config.processes.ingest,
            Proxies(config.server.trusted_proxies),
        )


@dataclass(slots=True)
class _Asked:
    """A request on its way through; `held` bytes of it are in memory."""

    request: web.Request
    protocol: Protocol
    route: Route
    settings: Settings
    origin: str | None
    source: Intake | None = None
    held: int = 0
    reasons: Reasons | None = None


class Ingest:
    """Takes requests and appends them to the log. While `draining`, answers close connections."""

    def __init__(self, settings: Settings, writer: LogWriter, clock: Clock) -> None:
        self.settings = settings
        self.draining = False
        self.in_flight = 0
        self.nobody = Counts()
        """Counts of requests without a valid key; such a key never becomes a label."""
        self._writer = writer
        self._clock = clock
        self._held = 0
        self._keeping: set[asyncio.Future[int]] = set()

    def handler(self, protocol: Protocol, route: Route) -> Handler:
        """The aiohttp handler of one path."""

        async def handle(request: web.Request) -> web.StreamResponse:
            origin = request.headers.get("Origin")
            asked = _Asked(request, protocol, route, self.settings, origin)
            status = 500
            self.in_flight += 1
            try:
                reply = await self._take(asked)
                status = reply.status
            except Refused as reason:
                reply = replies.error(reason, cors.headers(origin), asked.reasons)
                status = reply.status
            finally:
                self.in_flight -= 1
                self._held -= asked.held
                statuses = (asked.source.counts if asked.source else self.nobody).statuses
                statuses[status] = statuses.get(status, 0) + 1
            if self.draining:
                reply.force_close()
            return reply

        return handle

    async def settle(self) -> None:
        """Wait until the refused requests that are being kept are written."""
        while self._keeping:
            await asyncio.wait(self._keeping)

    async def _take(self, asked: _Asked) -> web.StreamResponse:
        headers = asked.request.headers
        sources = asked.settings.sources
        source = sources.basic.get(headers.get("Authorization")) or sources.of_request(asked.request)
        if source is not None:
            self._admit(asked, source)
        body = await self._body(asked)
        coding = headers.get("Content-Encoding")
        if coding is not None:
            body = self._decoded(asked, body, coding)
        if source is None:
            source = sources.of_body(body)
            self._admit(asked, source)
        envelope, parsed = self._parsed(asked, source, body)
        taken = len(parsed.keys) - len(parsed.refused)
        packed = record.marks(parsed.keys, parsed.refused)
        try:
            await self._writer.append(record.encode(envelope), packed, body)
        except LogFull:
            raise Rejected(503, "log_full", "there is no room; come again", retry_after=FULL_RETRY) from None
        except LogClosed:
            raise Rejected(503, "log_closed", "events cannot be stored", retry_after=CLOSED_RETRY) from None
        counts = source.counts
        counts.accepted += taken
        counts.refused += len(parsed.refused)
        counts.received_bytes += len(body)
        if parsed.slow:
            counts.slow += 1
        return self._accepted(asked, taken, parsed.refused, envelope.received_at)

    def _admit(self, asked: _Asked, source: Intake) -> None:
        """Raise `Rejected` where this source may not send now, or not from this page."""
        asked.source = source
        if source.closed is not None:
            code, message, retry_after = source.closed
            raise Rejected(503, code, message, retry_after=retry_after)
        if source.origins and asked.origin and not cors.allowed(asked.origin, source.origins):
            raise Rejected(403, "origin_not_allowed", "this source takes no events from this origin")
        if source.bucket is not None:
            wait = source.bucket.wait(self._clock.monotonic())
            if wait > 0:
                raise Rejected(429, "rate_limited", "this source sends above its rate", retry_after=wait)

    async def _body(self, asked: _Asked) -> bytes:
        """The body as sent, read within its bounds in size and time."""
        request, limit = asked.request, asked.settings.limits.body
        length = request.content_length
        if length is not None and length > limit:
            raise _too_large(asked, limit)
        if self._held > MEMORY:
            raise Rejected(503, "busy", "too many requests at once", retry_after=BUSY_RETRY, close=True)
        content = request.content
        if content.is_eof():  # it came with the headers, as most do
            body = content.read_nowait()
            if len(body) > limit:
                raise _too_large(asked, limit)
            self._hold(asked, len(body))
            return body
        parts: list[bytes] = []
        try:
            async with asyncio.timeout(asked.settings.body_timeout):
                while part := await content.readany():
                    self._hold(asked, len(part))
                    if asked.held > limit:
                        raise _too_large(asked, limit)
                    parts.append(part)
        except TimeoutError:
            # Not 408, which RudderStack's SDKs take for a reason to throw the events away.
            message = "the body did not come in time"
            if isinstance(request.protocol, Connection):
                request.protocol.abandon()
            raise Rejected(503, "body_timeout", message, retry_after=BUSY_RETRY, close=True) from None
        except (ClientError, ConnectionError, web.RequestPayloadError):
            raise Rejected(400, "incomplete_body", "the body was cut off", close=True) from None
        return b"".join(parts)

    def _hold(self, asked: _Asked, size: int) -> None:
        asked.held += size
        self._held += size

    def _decoded(self, asked: _Asked, body: bytes, coding: str) -> bytes:
        limit = asked.settings.limits.decompressed
        try:
            plain = encoding.decoded(body, coding, limit, asked.protocol.oversize)
        except Refused as reason:
            if asked.source is not None:
                self._keep_unread(asked, asked.source, body, reason)
            raise
        self._hold(asked, len(plain) - len(body))
        return plain

    def _parsed(self, asked: _Asked, source: Intake, body: bytes) -> tuple[Envelope, Parsed]:
        """What is in the body; raises `Refused`, and keeps the request, where nothing can be taken."""
        headers = asked.request.headers
        encoded = headers.get("AnonymousId")
        anonymous_id = _anonymous_id(encoded) if encoded else ""
        try:
            parsed = asked.protocol.parse(
                body, asked.route, asked.settings.limits, trusted=source.trusted, anonymous_id=anonymous_id
            )
        except Refused as reason:
            self._keep_unread(asked, source, body, reason)
            raise
        if source.bucket is not None:
            source.bucket.take(len(parsed.keys))
        sent_at = parsed.sent_at or headers.get("SentAt", "")
        if len(sent_at) > STAMP_LENGTH or not sent_at.isascii():
            sent_at = ""
        envelope = self._envelope(asked, source, sent_at, parsed, anonymous_id)
        if len(parsed.refused) == len(parsed.keys):
            asked.reasons = parsed.refused
            self._keep(asked, source, envelope, record.marks(parsed.keys, parsed.refused), body)
            raise Refused(*parsed.refused[0])
        return envelope, parsed

    def _envelope(
        self,
        asked: _Asked,
        source: Intake,
        sent_at: str,
        parsed: Parsed,
        anonymous_id: str,
        *,
        unread: bool = False,
    ) -> Envelope:
        request, proxies = asked.request, asked.settings.proxies
        forwarded = request.headers.getall("X-Forwarded-For", ()) if proxies.trusted else ()
        return Envelope(
            source.id,
            asked.protocol.name,
            asked.route.kind,
            int(self._clock.now().timestamp() * 1000),
            proxies.client(request.remote, forwarded),
            sent_at,
            parsed.slow,
            parsed.refused,
            source.trusted,
            anonymous_id,
            unread,
        )

    def _keep_unread(self, asked: _Asked, source: Intake, body: bytes, reason: Refused) -> None:
        parsed = Parsed(("",), {0: (reason.code, reason.message)})
        envelope = self._envelope(asked, source, "", parsed, "", unread=True)
        self._keep(asked, source, envelope, record.marks(parsed.keys, parsed.refused), body)

    def _keep(self, asked: _Asked, source: Intake, envelope: Envelope, packed: bytes, body: bytes) -> None:
        """Store a wholly refused request within its source's daily quota; the client does not wait."""
        counts, number = source.counts, len(envelope.refused)
        counts.refused += number
        if not source.quota.take(len(body), asked.settings.refused_bytes, envelope.received_at):
            counts.unkept += number
            return
        try:
            future = asyncio.ensure_future(self._writer.append(record.encode(envelope), packed, body))
        except (LogFull, LogClosed):
            counts.unkept += number
            return

        def written(done: asyncio.Future[int]) -> None:
            self._keeping.discard(done)
            error = None if done.cancelled() else done.exception()
            if error is None and not done.cancelled():
                counts.kept_bytes += len(body)
                return
            counts.unkept += number
            if error is not None and not isinstance(error, LogFull | LogClosed):
                _log.error("a refused request could not be kept: %s", type(error).__name__)

        self._keeping.add(future)
        future.add_done_callback(written)

    def _accepted(self, asked: _Asked, taken: int, refused: Reasons, millis: int) -> web.StreamResponse:
        request = asked.request
        if (
            not refused
            and asked.origin is None
            and not self.draining
            and request.keep_alive
            and request.version == HttpVersion11
        ):
            return replies.Accepted(taken, millis // 1000)
        return replies.accepted(taken, refused, cors.headers(asked.origin))


def _too_large(asked: _Asked, limit: int) -> Rejected:
    message = f"the body is larger than {limit} bytes"
    return Rejected(asked.protocol.oversize, "body_too_large", message, close=True)


def _anonymous_id(header: str) -> str:
    """The `AnonymousId` header of RudderStack's browser SDKs: base64 of the id. "" where it is not."""
    if len(header) > ID_LENGTH:
        return ""
    try:
        return base64.b64decode(header, validate=True).decode()
    except (binascii.Error, ValueError):
        return ""
