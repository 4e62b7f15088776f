"""A destination: data first, one pure function, a generator where it must ask."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import PurePath
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeVar

from turnout import verdict as verdicts
from turnout.auth import Auth
from turnout.bounds import MOST_REQUESTS
from turnout.clock import retry_after
from turnout.errors import Refused
from turnout.event import Event, Kind
from turnout.packing import Chunk, Packing, carrying, size_of, whole
from turnout.request import Checkpoint, Json, JsonArray, Record, Request, Response
from turnout.rules import Rule, decide
from turnout.settings import Settings
from turnout.user import User
from turnout.verdict import Outcome, Verdict, worst

__all__ = ["BEHIND", "UNSENT", "Client", "Context", "Delivery", "Destination", "Exchange", "judge", "stopping", "worst"]

S = TypeVar("S", bound=Settings)
EVERY_KIND = frozenset(Kind)
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
BEHIND = "waits behind an earlier event of its user"
UNSENT = "not sent: "
"""Starts the reason of an event that waits because the destination itself does not take any."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """How to send, never what; every field can be overridden under `delivery:` in config.yaml.

    `batch` events and `batch_bytes` bytes at most travel together; `linger` is how long a batch waits to fill (only
    when batch > 1); `concurrency` is requests in flight; `rate` requests per second; `timeout` per request;
    `retry_for` how long an event is tried; `retry_after` the longest `Retry-After` that is obeyed; `hold_for` how
    long an event holds back later ones of its user; `order: none` gives up the order of a user's events.
    """

    batch: int = 1
    batch_bytes: int = 500_000
    linger: timedelta = timedelta(seconds=1)
    concurrency: int = 8
    rate: float | None = None
    timeout: timedelta = timedelta(seconds=10)
    retry_for: timedelta = timedelta(hours=24)
    retry_after: timedelta = timedelta(hours=1)
    hold_for: timedelta = timedelta(minutes=15)
    order: Literal["user", "none"] = "user"


@dataclass(frozen=True, slots=True)
class Context:
    """What an adapter may know beside the event: the time it is handed, and how it is to send.

    `salt` makes other ids of the same events: a replay that is to be taken for new ones has it.
    """

    now: datetime
    delivery: Delivery = Delivery()
    salt: str = ""

    def options(self, event: Event) -> Mapping[str, Any]:
        """What the event's integrations object says to this destination; {} where nothing."""
        return event.options

    def id(self, event: Event, *salt: str) -> str:
        """A UUID that is the same for the same source, messageId, child and salt, on every attempt."""
        seed = "\0".join((event.source, event.message_id, str(event.child), *salt))
        if self.salt:
            seed += "\0" + self.salt
        text = sha256(seed.encode("utf-8", "replace")).hexdigest()
        # The bits of version 4 and its variant (RFC 9562 §5.4); uuid.UUID takes five times as long.
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{_VARIANT[text[16]]}{text[17:20]}-{text[20:32]}"


def judge(response: Response, now: datetime) -> Verdict:
    """The house's status table, used where a tool has no rules of its own.

    2xx delivered; no answer, 408, 425, 429 and 5xx retry, `Retry-After` obeyed; 401 pauses the
    destination; every other status is dead, and so is what may not or cannot be sent. (That 403s
    of several users pause it too is known only to the engine, which sees them.)
    """
    status = response.status
    if 200 <= status < 300:
        return verdicts.delivered(status)
    if status == 0:
        reason = response.error or "no answer"
        return verdicts.dead(reason) if response.permanent else verdicts.retry(reason)
    if status in (408, 425, 429) or 500 <= status <= 599:
        after = retry_after(response.header("Retry-After"), now)
        return verdicts.retry(f"HTTP {status}", status=status, after=after)
    if status == 401:
        return verdicts.pause("HTTP 401: the tool refuses these credentials", 401)
    return verdicts.dead(f"HTTP {status}", status)


Exchange = Generator[Request | Checkpoint, Response | None, Sequence[Verdict]]


class Client(Protocol):
    """What a tool that is not HTTP has in its `client.py`, as a class `Client(settings, base, delivery)`.

    `base` is the folder that relative paths start from. It is the only part of an adapter that may wait; the engine
    makes one per destination and calls it from its event loop. `hosts`, where it has them, are those it connects to.
    """

    async def write(self, records: Sequence[Record]) -> Sequence[Verdict]:
        """Hand over records in order; one verdict per record. Raises nothing the tool can cause."""
        ...

    async def close(self) -> None:
        """Let go of connections and files; nothing is written afterwards."""
        ...


class Destination(Generic[S]):
    """One tool. Subclasses are pure: no socket, sleep, clock or randomness.

    `slug` is `type:` in config.yaml and the folder's name; `names` the spellings accepted in the
    integrations object; `kinds` the event types it takes; `delivery` how to send (where the settings
    decide it, an adapter sets its own in `__init__`); `options` the keys of the integrations
    object that reach it (a write key is public, so never a URL, header, credential or table).
    `records` says that the tool is not HTTP: `request` returns a `Record`, and a `client.py` beside
    the class writes them. `atomic` says that the tool takes a batch as a whole or not at all: a
    batch it rejects (no 2xx) is then halved until the event it objects to is alone. `rules` says what the
    tool's answers mean where the house's status table does not (see `turnout.rules`). `resumable`
    says that `exchange` yields checkpoints, `forgets` how many users a call of `forget` takes (0: none),
    `answer_bytes` how much of an answer is read.
    `auth` is set in `__init__` where the tool wants credentials; requests stay without it, and whoever
    sends them adds it.
    """

    slug: ClassVar[str]
    names: ClassVar[tuple[str, ...]]
    kinds: ClassVar[frozenset[Kind]] = EVERY_KIND
    delivery: Delivery = Delivery()
    options: ClassVar[frozenset[str]] = frozenset()
    settings_type: ClassVar[type[Settings]] = Settings
    records: ClassVar[bool] = False
    atomic: ClassVar[bool] = False
    rules: ClassVar[tuple[Rule, ...]] = ()
    resumable: ClassVar[bool] = False
    forgets: ClassVar[int] = 0
    answer_bytes: ClassVar[int] = 64 << 10
    auth: Auth | None = None

    def __init__(self, settings: S) -> None:
        self.settings = settings

    def request(self, event: Event, at: Context) -> Request | Record | Sequence[Request] | Verdict:
        """What to send for one event, or why nothing is sent. Pure; most adapters stop here."""
        raise NotImplementedError(f"{type(self).__name__} needs request() or exchange()")

    def group(self, request: Request) -> Hashable | None:
        """Requests of equal groups may travel together; None travels alone (all but JSON bodies)."""
        if not isinstance(request.body, Json):
            return None
        headers, params = request.headers, request.params
        return (
            request.method, request.url, request.secret,
            tuple(sorted(headers.items())) if headers else (),
            tuple(sorted(params.items())) if params else (),
        )

    def limit(self, request: Request, at: Context) -> int:
        """How many requests of this one's group travel together; `delivery.batch` where it is less."""
        return at.delivery.batch

    def weight(self, request: Request) -> int:
        """What a request counts for in `limit`: more than 1 where it brings several of what the tool counts."""
        return 1

    def takes_whole(self, request: Request) -> bool:
        """Whether the tool takes this request as a whole or not at all: `atomic`, unless its addresses differ."""
        return self.atomic

    def merge(self, requests: Sequence[Request]) -> Request:
        """One request for those of one group: a JSON array of their bodies.

        Called for a single one too wherever `delivery.batch` is above 1, so that a tool sees one
        shape.
        """
        items: list[Json] = []
        for request in requests:
            if not isinstance(request.body, Json):
                raise TypeError(f"{self.slug}: a group of other bodies than Json needs its own merge()")
            items.append(request.body)
        return replace(requests[0], body=JsonArray.of(items))

    def together(self, events: Sequence[Event], at: Context) -> Request | None:
        """`merge` of the requests of all these events at once, for a tool that takes long batches; None, the
        default, where each has to be looked at.

        Only for events that have one request each, all of one group. Raises `Refused` where one cannot be sent:
        then each is looked at. The kinds of the events are among `kinds`.
        """
        return None

    def judge(self, response: Response, at: Context) -> Verdict:
        """What an answer means for the events of its request: `rules`, then the house's table."""
        return (decide(self.rules, response, at.now) if self.rules else None) or judge(response, at.now)

    def verdicts(self, request: Request, response: Response, at: Context) -> Sequence[Verdict]:
        """One verdict per item of `request.events`, in order; `turnout.per_item` reads an answer with rows."""
        return [self.judge(response, at)] * len(request.events)

    def _read(self, request: Request, response: Response, at: Context) -> Sequence[Verdict]:
        """`verdicts`; of a success whose body must be read and is not whole nothing is called delivered."""
        status = response.status
        if response.cut and 200 <= status < 300 and (
            type(self).verdicts is not Destination.verdicts
            or any(rule.path and status in rule.statuses for rule in self.rules)
        ):
            reason = f"HTTP {status}: {response.error or f'the answer is longer than {self.answer_bytes:,} bytes'}"
            lost = verdicts.retry(reason, status=status) if response.error else verdicts.dead(reason, status)
            return [lost] * len(request.events)
        return self.verdicts(request, response, at)

    def verdict(self, event: Event, at: Context) -> list[Request] | Record | Verdict:
        """`request` with its three shapes made one, other kinds filtered, and its errors made verdicts."""
        try:
            if event.kind not in self.kinds:
                return verdicts.filtered(f"{self.slug} does not take {_word(event.kind)} events")
            made = self.request(event, at)
        except Exception as error:  # noqa: BLE001 -- an adapter may come from anyone; see above
            return self.failed(error)
        if isinstance(made, Request):
            return [made]
        if isinstance(made, Record | Verdict):
            return made
        if len(made) > MOST_REQUESTS:
            return verdicts.dead(f"{self.slug}: the event comes to more than {MOST_REQUESTS:,} requests")
        return list(made) or verdicts.filtered(f"{self.slug}: nothing to send")

    def failed(self, error: Exception) -> Verdict:
        """What an error makes of its event, and of no other: `Refused` says why, anything else is a bug."""
        if isinstance(error, Refused):
            return verdicts.dead(error.message)
        return verdicts.dead(f"{self.slug}: adapter failed: {_where(error)}")

    def exchange(self, events: Sequence[Event], at: Context, resume: Any | None = None) -> Exchange:
        """Group, merge, send, read statuses; one verdict per event, in input order.

        A user's events keep their order: an event never joins a request that leaves before one
        of its user's earlier events, and once an event of a user must be retried, the user's
        later ones in this exchange are not sent. After a pause or a 429 nothing more is sent.

        One of your own that is `resumable` yields a `Checkpoint`: durable before the next request. While
        its state is not None and an event's verdict not final, nothing of it is settled, and it is called
        again with the same events and `resume=state`: after a crash, or after `retry(reason, after=…)`.
        """
        if len(events) == 1 and at.delivery.batch <= 1:  # the same as below, in a third of the time
            return (yield from self._single(events[0], at))
        if (request := self._together(events, at)) is not None:
            response = yield request
            assert response is not None
            return self._read(request, response, at)
        found: list[Verdict | None] = [None] * len(events)
        ordered = at.delivery.order == "user"
        waiting = deque(self._chunks(events, at, found))
        held: set[int] = set()
        stop: Verdict | None = None
        while waiting:
            chunk = waiting.popleft()
            parts: list[tuple[int, Request]] = []
            for i, part in chunk.parts:
                if _spent(found[i]):
                    continue
                if stop is not None:
                    found[i] = worst(found[i], stop)
                elif events[i].key in held:
                    found[i] = worst(found[i], verdicts.retry(BEHIND))
                else:
                    parts.append((i, part))
            if not parts:
                continue
            merged = self.merge([r for _, r in parts]) if chunk.merged else parts[0][1]
            request = carrying(merged, tuple([i for i, _ in parts]))
            response = yield request
            assert response is not None
            answers = self._read(request, response, at)
            refused = response.status >= 300  # what is answered with 2xx was looked at item by item
            dead = len(parts) > 1 and all(a.outcome is Outcome.DEAD for a in answers)
            if refused and dead and self.takes_whole(request):
                half = len(parts) // 2
                waiting.extendleft((Chunk(parts[half:], True), Chunk(parts[:half], True)))
                continue
            for (i, _), answer in zip(parts, answers, strict=True):
                found[i] = worst(found[i], answer)
                if not answer.final and ordered and events[i].key:
                    held.add(events[i].key)
                stop = stopping(stop, answer)
        return [v or verdicts.filtered(f"{self.slug}: nothing to send") for v in found]

    def _together(self, events: Sequence[Event], at: Context) -> Request | None:
        """One request for all of them, where that is what `_chunks` would come to."""
        if self.atomic or not 0 < len(events) <= at.delivery.batch or at.delivery.batch <= 1:
            return None
        try:
            if not self.kinds.issuperset([event.kind for event in events]):
                return None
            request = self.together(events, at)
        except Exception:  # noqa: BLE001 -- whatever it is, the event that it is about gets a verdict of its own
            return None
        if request is None or len(events) > self.limit(request, at) or size_of(request) > at.delivery.batch_bytes:
            return None
        return carrying(request, whole(len(events)))

    def forget(self, users: Sequence[User], at: Context) -> Exchange:
        """Delete users at the tool; a verdict each: filtered where the tool cannot know one. See `forgets`."""
        yield from ()
        return [verdicts.filtered(f"{self.slug} cannot delete users") for _ in users]

    def _single(self, event: Event, at: Context) -> Exchange:
        """One event that travels alone: its requests one after the other, up to the first that fails."""
        made = self.verdict(event, at)
        if isinstance(made, Verdict):
            return [made]
        if isinstance(made, Record):
            raise TypeError(f"{self.slug} returns records: its client.py delivers them")
        found: Verdict | None = None
        for part in made:
            request = carrying(part, (0,))
            response = yield request
            assert response is not None
            (answer,) = self._read(request, response, at)
            found = worst(found, answer)
            if _spent(found):
                break
        assert found is not None  # there is a part at least: an answer without a verdict is the adapter's bug
        return [found]

    def _chunks(self, events: Sequence[Event], at: Context, found: list[Verdict | None]) -> list[Chunk]:
        """Requests in sending order, those of one chunk to be merged; fills verdicts of the rest."""
        packing = Packing(at.delivery.batch, at.delivery.batch_bytes)
        alike = type(self).weight is Destination.weight
        stuck: set[int] = set()
        for i, event in enumerate(events):
            key = event.key if at.delivery.order == "user" else 0
            if stuck and key in stuck:
                found[i] = verdicts.retry(BEHIND)
                continue
            made = self.verdict(event, at)
            if isinstance(made, Verdict):
                found[i] = made
                if key and not made.final:
                    stuck.add(key)
            elif isinstance(made, Record):
                raise TypeError(f"{self.slug} returns records: its client.py delivers them")
            elif packing.limit <= 1:
                packing.chunks.extend(Chunk([(i, request)], False) for request in made)
            else:
                try:
                    parts = [
                        (r, self.group(r), size_of(r), self.limit(r, at), 1 if alike else self.weight(r)) for r in made
                    ]
                except Refused as error:
                    found[i] = verdicts.dead(error.message)
                    continue
                packing.add(i, key, parts)
        return packing.chunks


def _spent(verdict: Verdict | None) -> bool:
    """True where an event already failed in an earlier part, so that the rest is not sent."""
    return verdict is not None and verdict.outcome not in (Outcome.DELIVERED, Outcome.FILTERED)


def stopping(stop: Verdict | None, answer: Verdict) -> Verdict | None:
    """What the rest of an exchange gets once the tool refuses everybody for now."""
    if stop is not None:
        return stop
    if answer.outcome is Outcome.PAUSE:
        return verdicts.pause(f"{UNSENT}{answer.reason}")
    if answer.outcome is Outcome.RETRY and answer.status == 429:
        return verdicts.retry(f"{UNSENT}{answer.reason}", after=answer.after)
    return None


def _word(kind: str) -> str:
    """A kind for a reason; what is none of ours may hold anything, so it is not repeated."""
    return kind if kind in EVERY_KIND else "unknown"


def _where(error: Exception) -> str:
    """Type and place of an error, without its message, which may quote the event."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return type(error).__name__
    file = "/".join(PurePath(trace.tb_frame.f_code.co_filename).parts[-2:])
    return f"{type(error).__name__} at {file}:{trace.tb_lineno}"
