"""A destination: data first, one pure function, a generator where it must ask."""

from __future__ import annotations

import uuid
from collections.abc import Generator, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, ClassVar, Generic, Literal, TypeVar

from turnout import verdict as verdicts
from turnout.clock import retry_after
from turnout.errors import Refused
from turnout.event import Event, Kind
from turnout.request import Checkpoint, Form, Json, JsonArray, Raw, Record, Request, Response, Xml
from turnout.settings import Settings
from turnout.verdict import Outcome, Verdict

__all__ = ["Context", "Delivery", "Destination", "judge"]

S = TypeVar("S", bound=Settings)
EVERY_KIND = frozenset(Kind)


@dataclass(frozen=True, slots=True)
class Delivery:
    """How to send, never what; every field can be overridden under `delivery:` in config.yaml.

    `batch` events and `batch_bytes` bytes at most travel together; `linger` is how long a batch
    waits to fill (only when batch > 1); `concurrency` is requests in flight; `rate` requests per
    second; `timeout` per request; `retry_for` how long an event is tried; `hold_for` how long it
    holds back later events of its user; `order: none` gives up the order of a user's events.
    """

    batch: int = 1
    batch_bytes: int = 500_000
    linger: timedelta = timedelta(seconds=1)
    concurrency: int = 8
    rate: float | None = None
    timeout: timedelta = timedelta(seconds=10)
    retry_for: timedelta = timedelta(hours=24)
    hold_for: timedelta = timedelta(minutes=15)
    order: Literal["user", "none"] = "user"


@dataclass(frozen=True, slots=True)
class Context:
    """What an adapter may know beside the event: the time it is handed, and the batch limits."""

    now: datetime
    delivery: Delivery = Delivery()

    def options(self, event: Event) -> Mapping[str, Any]:
        """What the event's integrations object says to this destination; {} where nothing."""
        return event.options

    def id(self, event: Event, *salt: str) -> str:
        """A UUID that is the same for the same messageId, child and salt, on every attempt."""
        seed = "\0".join((event.message_id, str(event.child), *salt))
        return str(uuid.UUID(bytes=sha256(seed.encode("utf-8", "replace")).digest()[:16], version=4))


def judge(response: Response, now: datetime) -> Verdict:
    """The house's status table, used where a tool has no rules of its own.

    2xx delivered; no answer, 408, 425, 429 and 5xx retry, `Retry-After` obeyed; 401 pauses the
    destination; every other status is dead. (That 403s of several users pause it too is known
    only to the engine, which sees them.)
    """
    status = response.status
    if 200 <= status < 300:
        return verdicts.delivered(status)
    if response.error:
        return verdicts.retry(response.error)
    if status in (408, 425, 429) or status >= 500:
        after = retry_after(response.header("Retry-After"), now)
        return verdicts.retry(f"HTTP {status}", status=status, after=after)
    if status == 401:
        return verdicts.pause("HTTP 401: the tool refuses these credentials", 401)
    return verdicts.dead(f"HTTP {status}", status)


Exchange = Generator[Request | Checkpoint, Response | None, Sequence[Verdict]]


class Destination(Generic[S]):
    """One tool. Subclasses are pure: no socket, sleep, clock or randomness.

    `slug` is `type:` in config.yaml and the folder's name; `names` the spellings accepted in the
    integrations object; `kinds` the event types it takes; `options` the keys of the integrations
    object that reach it (a write key is public, so never a URL, header, credential or table).
    A tool that is not HTTP returns `Record` and has a `client.py` beside it.
    """

    slug: ClassVar[str]
    names: ClassVar[tuple[str, ...]]
    kinds: ClassVar[frozenset[Kind]] = EVERY_KIND
    delivery: ClassVar[Delivery] = Delivery()
    options: ClassVar[frozenset[str]] = frozenset()
    settings_type: ClassVar[type[Settings]] = Settings

    def __init__(self, settings: S) -> None:
        self.settings = settings

    def request(
        self, event: Event, at: Context
    ) -> Request | Record | Sequence[Request] | Verdict:
        """What to send for one event, or why nothing is sent. Pure; most adapters stop here."""
        raise Refused("unsupported", f"{self.slug} has no requests")  # pragma: no cover

    def group(self, request: Request) -> Hashable:
        """Requests of equal groups may travel together."""
        return (
            request.method, request.url,
            tuple(sorted(request.headers.items())), tuple(sorted(request.params.items())),
            type(request.body),
        )

    def merge(self, requests: Sequence[Request]) -> Request:
        """One request for several of one group: a JSON array of their bodies."""
        values = [r.body.value for r in requests if isinstance(r.body, Json)]
        return replace(requests[0], body=JsonArray(values))

    def judge(self, response: Response, at: Context) -> Verdict:
        """What an answer means for the events of its request; a tool's own rules go here."""
        return judge(response, at.now)

    def verdict(self, event: Event, at: Context) -> list[Request] | Record | Verdict:
        """`request` with its three shapes made one, and its errors made verdicts."""
        try:
            made = self.request(event, at)
        except Refused as error:
            return verdicts.dead(error.message)
        if isinstance(made, Request):
            return [made]
        if isinstance(made, Record | Verdict):
            return made
        return list(made) or verdicts.filtered(f"{self.slug}: nothing to send")

    def exchange(
        self, events: Sequence[Event], at: Context, resume: Any | None = None
    ) -> Exchange:
        """Group, merge, send, read statuses; one verdict per event, in input order.

        A user's events keep their order: an event never joins a request that leaves before one
        of its user's earlier events, and once an event of a user must be retried, the user's
        later ones in this exchange are not sent.
        """
        found: list[Verdict | None] = [None] * len(events)
        held: set[int] = set()
        for chunk in self._chunks(events, at, found):
            parts = [(i, r) for i, r in chunk if events[i].key not in held and not _spent(found[i])]
            if not parts:
                for i, _ in chunk:
                    if events[i].key in held and found[i] is None:
                        found[i] = verdicts.retry(BEHIND)
                continue
            for i, _ in chunk:
                if events[i].key in held and found[i] is None:
                    found[i] = verdicts.retry(BEHIND)
            requests = [r for _, r in parts]
            merged = requests[0] if len(requests) == 1 else self.merge(requests)
            response = yield replace(merged, events=tuple(i for i, _ in parts))
            assert response is not None
            answer = self.judge(response, at)
            for i, _ in parts:
                found[i] = worst(found[i], answer)
                if not answer.final and events[i].key:
                    held.add(events[i].key)
        return [v or verdicts.filtered(f"{self.slug}: nothing to send") for v in found]

    def _chunks(
        self, events: Sequence[Event], at: Context, found: list[Verdict | None]
    ) -> list[list[tuple[int, Request]]]:
        """Requests in sending order, those of one chunk to be merged; fills verdicts of the rest."""
        chunks: list[list[tuple[int, Request]]] = []
        sizes: list[int] = []
        open_: dict[Hashable, int] = {}
        last: dict[int, int] = {}
        limit, room = at.delivery.batch, at.delivery.batch_bytes
        for i, event in enumerate(events):
            made = self.verdict(event, at)
            if isinstance(made, Verdict):
                found[i] = made
                continue
            if isinstance(made, Record):
                raise TypeError(f"{self.slug} returns records: its client.py delivers them")
            for request in made:
                name: Hashable = self.group(request) if limit > 1 and len(made) == 1 else None
                size = _size(request) if limit > 1 else 0
                at_chunk = open_.get(name, -1) if name is not None else -1
                if (
                    at_chunk < 0
                    or at_chunk < last.get(event.key, 0)
                    or len(chunks[at_chunk]) >= limit
                    or sizes[at_chunk] + size > room
                    or not isinstance(request.body, Json)
                ):
                    chunks.append([])
                    sizes.append(0)
                    at_chunk = len(chunks) - 1
                    if name is not None:
                        open_[name] = at_chunk
                chunks[at_chunk].append((i, request))
                sizes[at_chunk] += size + 1
                last[event.key] = at_chunk
        return chunks


BEHIND = "waits behind an earlier event of its user"
_RANK = {Outcome.FILTERED: 0, Outcome.DELIVERED: 1, Outcome.DEAD: 2, Outcome.RETRY: 3, Outcome.PAUSE: 4}


def worst(one: Verdict | None, other: Verdict) -> Verdict:
    """The verdict of an event sent as several requests: the worst of its parts."""
    if one is None or _RANK[other.outcome] > _RANK[one.outcome]:
        return other
    return one


def _spent(verdict: Verdict | None) -> bool:
    """True where an event already failed in an earlier part, so that the rest is not sent."""
    return verdict is not None and verdict.outcome not in (Outcome.DELIVERED, Outcome.FILTERED)


def _size(request: Request) -> int:
    body = request.body
    if body is None:
        return 0
    if isinstance(body, Raw):
        return len(body.data)
    if isinstance(body, Xml):
        return len(body.text)
    assert isinstance(body, Json | JsonArray | Form)
    return len(body.encode()[0])
