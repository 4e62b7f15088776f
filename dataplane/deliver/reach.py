"""What scripts may reach while they run: `fetch` to the hosts named for them, and `geolocation`.

The script is hostile: its arguments are read in `transformations.fetch`, hosts are held to the list of
its config at every hop, addresses that are not public are refused on connect, and time, size and number
are bounded. Answers to GET may be kept for a while, by script.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp
import maxminddb
from aiohttp.abc import AbstractResolver
from yarl import URL

from dataplane.deliver.guard import Blocked, GuardedResolver, guarded_socket
from dataplane.deliver.lookups import Lookups
from dataplane.metrics.log import logger
from transformations.base import Answer, Question, Script
from transformations.fetch import Fetch, Unasked, allowed, read_address, read_fetch
from turnout import __version__
from turnout.hosts import normal_host

__all__ = ["Outside", "located"]

log = logger()
UNAVAILABLE = "geolocation is not available right now"
HOPS = 3
"""Redirects that are followed; each hop is checked like the first."""
CONCURRENT = 10
"""Requests of one script at a time."""
LOOKUPS = 2
"""Names of one script that are looked up at a time."""
MOST = 1 << 20
"""Bytes of an answer; a larger one is an error."""
KEPT, KEPT_BYTES = 2_000, 16 << 20
"""Answers in the cache, and their bytes."""
_CHANGES = {301: "GET", 302: "GET", 303: "GET", 307: "", 308: ""}
"""Redirects, and the method they change a POST to."""


class Outside:
    """A `transformations.base.Reach` that reaches out; one per pipeline process.

    Where `database`, a MaxMind file, cannot be read, `geolocation` is answered as not available; `missing` says why.
    """

    def __init__(self, *, allow_private: bool = False, database: Path | None = None) -> None:
        self._private = allow_private
        self.missing = ""
        self._places = self._opened(database)
        self._sessions: dict[tuple[str, bool], aiohttp.ClientSession] = {}
        self._resolvers: list[AbstractResolver] = []
        self._slots: dict[str, asyncio.Semaphore] = {}
        self._cache: OrderedDict[bytes, tuple[float, Answer, int]] = OrderedDict()
        self._cached = 0
        self.counts: Counter[tuple[str, str]] = Counter()
        self.seconds: dict[str, float] = {}

    def _opened(self, database: Path | None) -> maxminddb.Reader | None:
        try:
            return None if database is None else maxminddb.open_database(str(database))
        except (OSError, maxminddb.InvalidDatabaseError) as error:
            self.missing = f"{database} cannot be read: {error}"
            log.error("reach.no_places", reason=self.missing)
            return None

    def follow(self, other: Outside) -> None:
        """Take over the egress rules and the MaxMind file of one that was prepared; it is not used further."""
        self._private, self.missing = other._private, other.missing
        self._places, other._places = other._places, self._places
        if other._places is not None:
            other._places.close()

    async def __call__(self, script: Script, questions: Sequence[Question]) -> list[Answer]:
        """Answers in order, all asked at once."""
        return list(await asyncio.gather(*(self._answer(script, one) for one in questions)))

    async def _answer(self, script: Script, question: Question) -> Answer:
        try:
            if question.verb == "geolocation":
                return self._located(read_address(question.args))
            if question.verb != "fetch":
                raise Unasked(f"{question.verb} is not known")
            return await self._fetched(script, read_fetch(question.args))
        except Unasked as error:
            self.counts[script.name, "refused"] += 1
            return Answer(error=str(error))

    def _located(self, address: str) -> Answer:
        if self._places is None:
            return Answer(error=UNAVAILABLE)
        try:
            return Answer(located(address, self._places.get(address)))
        except (maxminddb.InvalidDatabaseError, ValueError):  # damaged; or an IPv6 address, and it knows none
            return Answer(error=UNAVAILABLE)

    # ---- fetch

    async def _fetched(self, script: Script, request: Fetch) -> Answer:
        allowed(request, script)
        key = _key(script, request)
        keeps = script.reach.cache > 0 and request.method == "GET"
        if keeps and (kept := self._kept(key)) is not None:
            self.counts[script.name, "cached"] += 1
            return kept
        slots = self._slots.setdefault(script.name, asyncio.Semaphore(CONCURRENT))
        async with slots:
            begun = time.monotonic()
            try:
                answer, size = await self._follow(script, request)
            finally:
                spent = time.monotonic() - begun
                self.seconds[script.name] = self.seconds.get(script.name, 0.0) + spent
        self.counts[script.name, "failed" if answer.error is not None else "answered"] += 1
        if keeps and answer.error is None and answer.value["status"] < 500:
            self._keep(key, answer, size, script.reach.cache)
        return answer

    async def _follow(self, script: Script, request: Fetch) -> tuple[Answer, int]:
        try:
            async with asyncio.timeout(script.reach.timeout):
                for _ in range(HOPS + 1):
                    found, size = await self._send(script.name, request)
                    if isinstance(found, Answer):
                        return found, size
                    allowed(found, script)
                    request = found
            return Answer(error=f"more than {HOPS} redirects"), 0
        except TimeoutError:
            return Answer(error=f"no answer within {script.reach.timeout:g} s"), 0
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Answer(error=_failure(error, request.host)), 0

    async def _send(self, name: str, request: Fetch) -> tuple[Answer | Fetch, int]:
        """The answer, or the request that a redirect asks for."""
        url = URL(request.url)
        if not _same(url, request.host):
            raise Unasked("fetch url is not valid")
        async with self._session(name).request(
            request.method, url, data=request.body, headers=request.headers, allow_redirects=False
        ) as response:
            to = response.headers.get("Location")
            if response.status in _CHANGES and to:
                return _redirected(request, response.status, to), 0
            body = await response.content.read(MOST + 1)
            while len(body) <= MOST and (more := await response.content.read(MOST + 1 - len(body))):
                body += more
            if len(body) > MOST:
                response.close()
                return Answer(error=f"the answer is larger than {MOST:,} bytes"), 0
            headers = {name.lower(): _text(value) for name, value in response.headers.items()}
            text = body.decode(_charset(response.charset), "replace")
            value = {"url": request.url, "status": response.status, "headers": headers, "body": text}
            return Answer(value), len(body) + len(request.url) + sum(len(n) + len(v) for n, v in headers.items())

    def _session(self, name: str) -> aiohttp.ClientSession:
        """Connections of one script: who leaves half a request, or a second answer, on one meets it alone."""
        found = self._sessions.get((name, self._private))
        if found is None:
            lookups = Lookups(LOOKUPS)
            self._resolvers.append(lookups)
            connector = aiohttp.TCPConnector(
                limit=CONCURRENT,
                resolver=lookups if self._private else GuardedResolver(lookups),
                socket_factory=None if self._private else guarded_socket,
            )
            found = self._sessions[name, self._private] = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False,
                headers={"User-Agent": f"Turnout/{__version__}", "Accept-Encoding": "identity"},
                timeout=aiohttp.ClientTimeout(total=None),
            )
        return found

    # ---- the cache

    def _kept(self, key: bytes) -> Answer | None:
        found = self._cache.get(key)
        if found is None:
            return None
        if found[0] <= time.monotonic():
            self._drop(key)
            return None
        self._cache.move_to_end(key)
        return found[1]

    def _keep(self, key: bytes, answer: Answer, size: int, seconds: float) -> None:
        if key in self._cache:
            self._drop(key)
        self._cache[key] = (time.monotonic() + seconds, answer, size)
        self._cached += size
        while len(self._cache) > KEPT or self._cached > KEPT_BYTES:
            self._drop(next(iter(self._cache)))

    def _drop(self, key: bytes) -> None:
        self._cached -= self._cache.pop(key)[2]

    def stats(self) -> list[tuple[str, list[str], float]]:
        """Samples for /metrics."""
        found: list[tuple[str, list[str], float]] = [
            ("turnout_transform_fetches_total", [script, result], n) for (script, result), n in self.counts.items()
        ]
        found.extend(("turnout_transform_fetch_seconds_total", [script], n) for script, n in self.seconds.items())
        return found

    async def close(self) -> None:
        """Close connections and files."""
        for session in self._sessions.values():
            await session.close()
        for resolver in self._resolvers:
            await resolver.close()
        self._sessions.clear()
        self._resolvers.clear()
        if self._places is not None:
            self._places.close()
            self._places = None


def _key(script: Script, request: Fetch) -> bytes:
    """What an answer is kept by: the script, and all of the request."""
    told = [script.name, script.version, request.url, sorted(request.headers.items())]
    digest = blake2b(json.dumps(told).encode(), digest_size=32)
    digest.update(request.body or b"")
    return digest.digest()


def _same(url: URL, host: str) -> bool:
    """Whether the address as it is connected to names the host that was held to the list."""
    return host in (normal_host(url.raw_host or ""), normal_host(url.host or ""))


def _text(value: str) -> str:
    """A header as text: what is no UTF-8 in it comes as halves of characters, which nothing encodes."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, normal_host(parts.hostname or ""), parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _redirected(request: Fetch, status: int, to: str) -> Fetch:
    """The next hop; credentials do not follow to another host, port or scheme."""
    url = urljoin(request.url, to)
    method = _CHANGES[status] if request.method not in ("GET", "HEAD") and _CHANGES[status] else request.method
    options: dict[str, Any] = {"method": method, "headers": dict(request.headers)}
    if _origin(url) != _origin(request.url):
        for name in [name for name in options["headers"] if name.lower() in ("authorization", "cookie")]:
            del options["headers"][name]
    if method == request.method and request.body is not None:
        options["body"] = request.body.decode("utf-8", "replace")
    return read_fetch([url, options])


def _failure(error: Exception, host: str) -> str:
    """What happened, in words that hold nothing of our network."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, Blocked):
            return f"blocked request to non-public address: {host}"
        cause = cause.__cause__
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"{host}: the name does not resolve"
    if isinstance(error, aiohttp.ClientSSLError):
        return f"{host}: TLS failed"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"{host}: cannot connect"
    return f"{host}: {type(error).__name__}"


def _charset(name: str | None) -> str:
    """What the server says, where it is one of the few that text of an API has."""
    return name.lower() if name and name.lower() in ("utf-8", "us-ascii", "iso-8859-1", "utf-16") else "utf-8"


# ---- geolocation


def located(address: str, found: Any) -> dict[str, Any]:
    """What a MaxMind record says, by RudderStack's names; only what is known."""
    record = found if isinstance(found, Mapping) else {}
    place = {
        "ip": address,
        "city": _in(record, "city", "names", "en"),
        "country": _in(record, "country", "iso_code"),
        "region": _in((record.get("subdivisions") or [{}])[0], "iso_code"),
        "postal": _in(record, "postal", "code"),
        "timezone": _in(record, "location", "time_zone"),
    }
    latitude, longitude = _in(record, "location", "latitude"), _in(record, "location", "longitude")
    if latitude is not None and longitude is not None:
        place["location"] = f"{latitude},{longitude}"
    return {key: value for key, value in place.items() if value is not None}


def _in(record: Any, *path: str) -> Any:
    for step in path:
        record = record.get(step) if isinstance(record, Mapping) else None
    return record
