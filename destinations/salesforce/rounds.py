"""Events to Salesforce in rounds: look up what must be found, then write it, as many records at once as may be.

A round has one event of a user and one of a record at most: the next of either waits for what became of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Any, Final

from destinations.salesforce import answers
from destinations.salesforce.calls import MOST, Api, Row, Way, Write, folded
from turnout import Context, Destination, Event, Request, Response, Verdict, codec, dead, filtered, retry
from turnout.destination import BEHIND, Exchange, stopping
from turnout.packing import carrying
from turnout.verdict import Outcome
from vendors.salesforce import soql

__all__ = ["Rounds"]

Asking = Generator[Request, Response | None, None]
PAGES: Final = 20
"""Pages of a query that are read, of up to 2,000 records each."""
NONE: Final = Verdict(Outcome.FILTERED, "salesforce: there is no such record to delete")


class Rounds:
    """One exchange. `writes` has what each event asks for, or its verdict."""

    def __init__(
        self, adapter: Destination[Any], api: Api, events: Sequence[Event], writes: Sequence[Write | Verdict],
        at: Context,
    ) -> None:
        self._adapter, self._api, self._events, self._at = adapter, api, events, at
        self._writes: dict[int, Write] = {i: one for i, one in enumerate(writes) if isinstance(one, Write)}
        self._targets = {i: one.target for i, one in self._writes.items()}
        self._found: list[Verdict | None] = [one if isinstance(one, Verdict) else None for one in writes]
        self._most = max(1, min(at.delivery.batch, MOST))
        self._together = adapter.settings.collections and self._most > 1
        self._users = at.delivery.order == "user"
        self._held: set[int] = {
            events[i].key for i, one in enumerate(self._found) if one is not None and not one.final and self._users
        }
        self._stop: Verdict | None = None
        self._known: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}

    def steps(self) -> Exchange:
        """Every round; a verdict per event."""
        waiting = list(self._writes)
        while waiting:
            turn, waiting = self._turn(waiting)
            yield from self._look([i for i in turn if self._writes[i].find])
            rows: list[tuple[int, Row]] = []
            for i in turn:
                if self._found[i] is None:
                    made = self._row(self._writes[i], self._targets[i])
                    if isinstance(made, Verdict):
                        self._settle(i, made)
                    else:
                        rows.append((i, made))
            yield from self._write(rows)
        return [one or filtered("salesforce: nothing to send") for one in self._found]

    def _turn(self, waiting: Sequence[int]) -> tuple[list[int], list[int]]:
        """Who is in the next round, and who waits for it to end."""
        turn: list[int] = []
        later: list[int] = []
        users: set[int] = set()
        targets: set[tuple[Any, ...]] = set()
        most = MOST if self._together else 1
        for i in waiting:
            key, write = self._events[i].key if self._users else 0, self._writes[i]
            if self._stop is not None:
                self._found[i] = self._stop
            elif key and key in self._held:
                self._found[i] = retry(BEHIND)
            else:
                target = self._targets[i]
                new = not write.find and not write.id and not write.external  # a record of its own
                free = len(turn) < most and key not in users and (new or target not in targets)
                (turn if free else later).append(i)
                targets.add(target)
                users |= {key} if key else set()
        return turn, later

    def _settle(self, i: int, verdict: Verdict) -> None:
        self._found[i] = verdict
        if not verdict.final and self._users and self._events[i].key:
            self._held.add(self._events[i].key)
        self._stop = stopping(self._stop, verdict)

    # Looking up

    def _look(self, turn: Sequence[int]) -> Asking:
        """Ask for the records of these events, of those alike at once; who gets no answer is settled."""
        groups: dict[tuple[Any, ...], list[int]] = {}
        for i in turn:
            write = self._writes[i]
            if self._targets[i] not in self._known:
                # Of other types apart: a number where the field is a text spoils the query it is in.
                kinds = tuple(type(one) for one in write.key)
                groups.setdefault((write.object, write.find, kinds), []).append(i)
        for group in groups.values():
            if not self._api.many:
                waiting = deque([i] for i in group)
            else:
                first = self._writes[group[0]]
                by_key = {self._writes[i].key: i for i in group}
                waiting = deque(
                    [by_key[tuple(key)] for key in keys] for keys in soql.batches(first.find, by_key, self._most)
                )
            while waiting:
                yield from self._ask(waiting.popleft(), waiting)

    def _ask(self, asked: list[int], waiting: deque[list[int]]) -> Asking:
        if self._stop is not None:
            for i in asked:
                self._found[i] = self._stop
            return
        first = self._writes[asked[0]]
        request: Request | None = self._api.look(first, [self._writes[i].key for i in asked])
        records: list[Mapping[str, Any]] = []
        for _ in range(PAGES):
            assert request is not None
            response = yield carrying(request, tuple(asked))
            assert response is not None
            page = answers.page(response)
            if page is None:
                verdict = self._unread(response)
                if verdict.outcome is Outcome.DEAD and len(asked) > 1:
                    half = len(asked) // 2
                    waiting.extendleft((asked[half:], asked[:half]))
                    return
                for i in asked:
                    self._settle(i, verdict)
                return
            found, following = page
            records += found
            request = self._api.more(following) if following else None
            if request is None:
                break
        self._learn(asked, records)

    def _unread(self, response: Response) -> Verdict:
        status = response.status
        judged = self._adapter.judge(response, self._at)
        if not judged.final or not (response.cut or 200 <= status < 300):
            return judged  # what says to wait says so however much of it came
        lost = response.error or "what was looked up is answered with no list of records"
        return retry(f"HTTP {status}: {lost}", status=status) if response.error else dead(
            f"HTTP {status}: {lost}", status
        )

    def _learn(self, asked: Sequence[int], records: Sequence[Mapping[str, Any]]) -> None:
        """Which records are whose. The search index answers with what is like it, so it is compared where it can be."""
        first = self._writes[asked[0]]
        compared = self._api.many or first.one
        by_key: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
        for record in records:
            low = {name.lower(): value for name, value in record.items()}
            key = folded([low.get(name.lower()) for name in first.find]) if compared else folded(first.key)
            by_key.setdefault(key, []).append({name: low.get(name.lower()) for name in _READ})
        for i in asked:
            target = self._targets[i]
            self._known[target] = by_key.get(target[-1], [])

    def _row(self, write: Write, target: tuple[Any, ...]) -> Row | Verdict:
        """The record as it is written, now that it is known whether there is one."""
        if write.id:
            return Row("delete" if write.delete else "update", write.object, write.fields, id=write.id)
        if write.external:
            way: Way = "delete" if write.delete else "upsert"
            return Row(way, write.object, write.fields, external=write.external, value=write.key[0])
        there = self._known.get(target, []) if write.find else []
        if not there:
            return NONE if write.delete else Row("create", write.object, {**write.fresh, **write.fields})
        if write.one and len(there) > 1:
            return dead(f"{len(there)} records of {write.object} have this {' and '.join(write.find)}")
        record = next((one for one in there if not one["IsConverted"]), there[0])
        if record["IsDeleted"]:
            return dead(f"the {write.object} was deleted")
        contact = record["ConvertedContactId"] if record["IsConverted"] else None
        if contact and write.contact is not None:
            return Row("update", "Contact", write.contact(), id=str(contact))
        return Row("delete" if write.delete else "update", write.object, write.fields, id=str(record["Id"] or ""))

    # Writing

    def _write(self, rows: Sequence[tuple[int, Row]]) -> Asking:
        waiting = deque(self._chunks(rows))
        while waiting:
            chunk = waiting.popleft()
            places = tuple(i for i, _ in chunk)
            if self._stop is not None:
                for i in places:
                    self._found[i] = self._stop
                continue
            alone = len(chunk) == 1
            made = self._api.single(chunk[0][1]) if alone else self._api.collection([row for _, row in chunk])
            request = carrying(made, places)
            response = yield request
            assert response is not None
            said = self._adapter._read(request, response, self._at)
            if not alone and response.status >= 300 and all(one.outcome is Outcome.DEAD for one in said):
                half = len(chunk) // 2  # one record can spoil a call: a field that the object has not
                waiting.extendleft((chunk[half:], chunk[:half]))
                continue
            ids = answers.ids(response, alone=alone)
            for n, ((i, row), answer) in enumerate(zip(chunk, said, strict=True)):
                self._settle(i, answer)
                if answer.outcome is not Outcome.DELIVERED:
                    continue
                if row.way == "create" and n < len(ids) and ids[n]:
                    self._known[self._targets[i]] = [{**dict.fromkeys(_READ), "Id": ids[n]}]
                elif row.way == "delete":
                    self._known[self._targets[i]] = []

    def _chunks(self, rows: Iterable[tuple[int, Row]]) -> list[list[tuple[int, Row]]]:
        """Rows that travel together, within the limits of records and bytes."""
        chunks: list[list[tuple[int, Row]]] = []
        open_: dict[tuple[str, str, str], tuple[list[tuple[int, Row]], int]] = {}
        for i, row in rows:
            together = self._together and not (row.way == "delete" and row.external)
            size = len(codec.dumps(row.fields)) + 200 if together else 0
            chunk, room = open_.get(row.group, ([], 0))
            if not together or not chunk or len(chunk) >= self._most or size > room:
                chunk, room = [], self._at.delivery.batch_bytes - 100
                chunks.append(chunk)
            chunk.append((i, row))
            if together:
                open_[row.group] = chunk, room - size
        return chunks


_READ: Final = ("Id", "IsConverted", "ConvertedContactId", "IsDeleted")
