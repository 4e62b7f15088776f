"""The contract every destination keeps, as one test class.

    from turnout.testing import DestinationContract
    from my_package import MyTool

    class TestMyTool(DestinationContract):
        destination = MyTool

Settings come from the fixtures in the tool's folder, so a tool without fixtures fails.
"""

from __future__ import annotations

import copy
import importlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel, SecretStr

from turnout.auth import shown as with_auth
from turnout.destination import Context, Destination
from turnout.event import Event, Kind
from turnout.preview import curl, describe, describe_record
from turnout.request import Record, Request, Response
from turnout.rules import Rule, decide
from turnout.settings import SecretUrl
from turnout.testing.capabilities import Capabilities
from turnout.testing.driving import drive
from turnout.testing.fake_clock import START
from turnout.testing.fixture import Answer, Fixture, folder, load
from turnout.testing.hostile import mangled
from turnout.verdict import Verdict

__all__ = ["DestinationContract"]

TABLE = [
    (Response(200), "delivered"), (Response(204), "delivered"), (Response(302), "dead"),
    (Response(400), "dead"), (Response(401), "pause"), (Response(403), "dead"), (Response(404), "dead"),
    (Response(408), "retry"), (Response(413), "dead"), (Response(425), "retry"), (Response(429), "retry"),
    (Response(429, {"retry-after": "17"}), "retry"), (Response(500), "retry"), (Response(503), "retry"),
    (Response(0, error="h: connection refused"), "retry"),
    (Response(0, error="h: a private address", permanent=True), "dead"),
]
"""The house's status table; a tool's own rules are shown by its fixtures (`own_statuses`)."""
_SECRET = re.compile(
    r"(^|_)(api_?key|secret|token|password|passphrase|access_key|private_key|credentials?)($|_)"
)


class DestinationContract(Capabilities):
    """Subclass it, set `destination`; see the module."""

    own_statuses: ClassVar[frozenset[int]] = frozenset()
    """Statuses that the tool itself gives another meaning; its fixtures must show each."""

    def looks_up(self, request: Request) -> bool:
        """Whether a request only asks, for all the events of an exchange: what is said of sending is not about it."""
        return False

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """A case per fixture, per answer of a fixture, per line of the status table."""
        loaded = load(metafunc.cls.destination)
        if "fixture" in metafunc.fixturenames:
            metafunc.parametrize("fixture", loaded, ids=lambda f: f.name)
        if "told" in metafunc.fixturenames:
            told: list[Any] = [(f, a) for f in loaded for a in f.when] or [None]
            metafunc.parametrize("told", told, ids=_case)
        if "line" in metafunc.fixturenames:
            metafunc.parametrize("line", TABLE, ids=lambda x: f"{x[0].status}-{x[1]}")

    def _senders(self) -> list[tuple[Fixture, Destination[Any]]]:
        return [(f, f.build(self.destination)) for f in load(self.destination) if f.sends]

    # What it is

    def test_it_says_what_it_is(self) -> None:
        """Slug, names, kinds and settings are there; the slug is the folder's name."""
        kind = self.destination
        assert re.fullmatch(r"[a-z][a-z0-9_]*", kind.slug)
        assert folder(kind).name == kind.slug
        assert kind.names
        assert all(isinstance(name, str) and name for name in kind.names)
        assert kind.kinds <= frozenset(Kind)
        assert kind.delivery.batch >= 1

    def test_it_takes_no_private_name_of_the_base(self) -> None:
        """`self._single = True` would replace a step of the default exchange."""
        own = {name for name in vars(Destination) if name.startswith("_") and not name.startswith("__")}
        kinds = [kind for kind in self.destination.__mro__ if kind not in Destination.__mro__]
        taken = own & {name for place in (*kinds, self._built()) for name in vars(place)}
        assert not taken, f"{sorted(taken)} are steps of Destination itself: choose other names"

    def test_every_setting_is_described_with_an_example(self) -> None:
        """Docs, forms and errors are made from them."""
        fields = self.destination.settings_type.model_fields
        assert fields, "a destination without settings cannot be told where to send"
        for name, info in fields.items():
            assert info.description, f"{name} has no description"
            assert info.examples, f"{name} has no example"

    def test_what_is_named_like_a_secret_is_one(self) -> None:
        """A token in a plain `str` would be shown in logs, previews and dead letters."""
        for name, info in self.destination.settings_type.model_fields.items():
            if _SECRET.search(name):
                assert "Secret" in repr(info.annotation), f"{name} should be a SecretStr"

    def test_the_readme_names_every_setting(self) -> None:
        """A setting nobody explains is one nobody finds."""
        readme = (folder(self.destination) / "README.md").read_text(encoding="utf-8")
        missing = [n for n in self.destination.settings_type.model_fields if f"`{n}`" not in readme]
        assert not missing, f"README.md does not name {missing}"

    def test_settings_are_strict(self) -> None:
        """An unknown setting is an error, never ignored."""
        given = {**load(self.destination)[0].settings, "no_such_setting": 1}
        with pytest.raises(ValueError, match="no_such_setting"):
            self.destination.settings_type.model_validate(given)

    def test_it_has_fixtures(self) -> None:
        """They are its documentation."""
        assert load(self.destination)

    # What it makes

    def test_fixture(self, fixture: Fixture) -> None:
        """What comes out is what the file says."""
        assert fixture.made(self.destination) == fixture.expected()

    def test_answer(self, told: tuple[Fixture, Answer] | None) -> None:
        """What an answer means is what the file says; a tool of HTTP shows at least one."""
        if told is None:
            assert self.destination.records, "no fixture says what an answer means (`when`)"
            return
        fixture, answer = told
        adapter = fixture.build(self.destination)
        found, _ = drive(adapter, [fixture.input()], self._at(adapter), lambda _: answer.response())
        assert str(found[0].outcome) == answer.verdict
        if answer.after is not None:
            assert found[0].after == answer.after

    def test_twice_the_same(self, fixture: Fixture) -> None:
        """Pure: equal in, equal out, and the event is as it was."""
        adapter = fixture.build(self.destination)
        event = fixture.input()
        before = copy.deepcopy(event.message)
        first = adapter.verdict(event, self._at(adapter))
        assert adapter.verdict(event, self._at(adapter)) == first
        assert fixture.build(self.destination).verdict(fixture.input(), self._at(adapter)) == first
        assert event.message == before
        if adapter.delivery.batch > 1 and not adapter.records:
            drive(adapter, [event] * 3, self._at(adapter), lambda _: Response(200))
            assert event.message == before, "merging changed an event"

    def test_kinds_it_does_not_take_are_filtered(self) -> None:
        """With a reason, and without repeating what a stranger wrote."""
        adapter = self._built()
        odd = [*(k for k in Kind if k not in adapter.kinds), "", "TRACK ME", "constructor"]
        for kind in odd:
            result = adapter.verdict(Event(message={"type": kind, "messageId": "m"}), self._at(adapter))
            assert isinstance(result, Verdict)
            assert result.outcome == "filtered"
            assert result.reason

    # Batches

    @pytest.mark.parametrize("batch", [1, 2, 7, None])
    def test_every_event_is_in_one_request_or_has_a_verdict(self, batch: int | None) -> None:
        """And a request carries no more than allowed, and verdicts come in order."""
        adapter = self._built()
        events = self._crowd(40)
        at = self._at(adapter, **({} if batch is None else {"batch": batch}))
        if adapter.records:
            results = [adapter.verdict(event, at) for event in events]
            assert all(isinstance(r, Record | Verdict) for r in results)
            return
        found, sent = drive(adapter, events, at, lambda _: Response(200))
        assert len(found) == len(events)
        carried = {i for request in sent if not self.looks_up(request) for i in request.events}
        for i, verdict in enumerate(found):
            assert verdict.final, f"event {i} is neither sent nor judged: {verdict}"
            assert (i in carried) or verdict.outcome != "delivered", f"event {i} was never sent"
        for request in sent:
            assert request.events, "a request without events"
            assert len(set(request.events)) <= at.delivery.batch or self.looks_up(request)

    def test_all_at_once_is_what_one_by_one_comes_to(self) -> None:
        """`together` gives the request that merging the requests of its events gives, and verdicts for all."""
        adapter = self._built()
        if adapter.records:
            return
        for size in (1, 2, 40):
            events = self._crowd(size)
            at = self._at(adapter, batch=40)
            request = adapter.together(events, at)
            if request is None:
                continue
            singles = [adapter.verdict(event, at) for event in events]
            assert all(isinstance(made, list) and len(made) == 1 for made in singles), "not one request each"
            requests = [made[0] for made in singles if isinstance(made, list)]
            assert None not in {adapter.group(made) for made in requests}, "one of them travels alone"
            assert len({adapter.group(made) for made in requests}) == 1, "they are not of one group"
            assert request == adapter.merge(requests)
            assert request.body is not None
            found, sent = drive(adapter, events, at, lambda _: Response(200))
            assert [one.outcome for one in found] == ["delivered"] * size
            assert [one.events for one in sent] == [tuple(range(size))]

    def test_batches_keep_to_their_bytes(self) -> None:
        """A request of several events is not larger than `batch_bytes`."""
        adapter = self._built()
        if adapter.records:
            return
        at = self._at(adapter, batch=25, batch_bytes=3_000)
        _, sent = drive(adapter, self._crowd(60), at, lambda _: Response(200))
        for request in sent:
            if len(set(request.events)) > 1 and request.body is not None:
                assert len(request.body.encode()[0]) <= 3_000

    def test_order_of_a_user_is_kept(self) -> None:
        """Nobody's event leaves before an earlier one of theirs, nor after one that must wait."""
        adapter = self._built()
        if adapter.records or adapter.delivery.order != "user":
            return
        events = self._crowd(30)
        for batch in {1, 3, adapter.delivery.batch}:
            at, calls = self._at(adapter, batch=batch), 0
            results = [adapter.verdict(event, at) for event in events]

            def answer(_: Request) -> Response:
                nonlocal calls
                calls += 1
                return Response(503 if calls % 3 == 2 else 200)

            found, sent = drive(adapter, events, at, answer)
            order = [i for request in sent if not self.looks_up(request) for i in request.events]
            for key in {event.key for event in events}:
                own = [i for i in order if events[i].key == key]
                assert own == sorted(own), "a user's events left out of order"
                kept = [i for i, made in enumerate(results) if isinstance(made, list) and events[i].key == key]
                outcomes = [found[i].final for i in kept]  # what is not sent at all passes nobody
                if self._single(adapter, events[0], at):
                    assert outcomes == sorted(outcomes, reverse=True), "an event passed one that waits"

    # Answers

    def test_status(self, line: tuple[Response, str]) -> None:
        """The status table, unless the tool has a rule of its own for it."""
        response, expected = line
        if decide(self.destination.rules, response, START) is not None:
            return  # a rule, which a fixture shows: see below
        if response.status in self.own_statuses:
            shown = {a.status for f in load(self.destination) for a in f.when}
            assert response.status in shown, f"no fixture shows what {response.status} means"
            return
        for fixture, adapter in self._senders():
            if type(adapter).exchange is not Destination.exchange:
                continue  # its fixtures' answers show what its own exchange does
            found, sent = drive(adapter, [fixture.input()], self._at(adapter), lambda _: response)
            assert sent
            assert str(found[0].outcome) == expected
            if response.header("Retry-After"):
                assert found[0].after == 17.0

    def test_each_rule_is_shown(self) -> None:
        """By an answer in a fixture that it decides: a rule behind one that always wins never does."""
        rules = self.destination.rules
        assert isinstance(rules, tuple)
        assert all(isinstance(rule, Rule) for rule in rules)
        answers = [answer.response() for fixture in load(self.destination) for answer in fixture.when]
        for place, rule in enumerate(rules):
            shown = any(
                decide((rule,), answer, START) and not decide(rules[:place], answer, START) for answer in answers
            )
            assert shown, f"no fixture's answer is decided by {rule}"

    # Hostility

    def test_hostile_events_never_raise(self, fixture: Fixture) -> None:
        """Whatever stands in a field: null, "", 1e300, lone surrogates, 2 MB, wrong types, depth."""
        adapter = fixture.build(self.destination)
        at = self._at(adapter)
        for message in mangled(fixture.event):
            event = Event(message=message, key=1, options=fixture.options, trusted=fixture.trusted)
            event = Event(event.raw, key=1, options=fixture.options, trusted=fixture.trusted)
            if event.kind not in adapter.kinds:
                continue
            made = adapter.verdict(event, at)
            if isinstance(made, Verdict):
                assert "adapter failed" not in made.reason, made.reason
                continue
            for request in made if isinstance(made, list) else ():
                assert all(isinstance(v, str) for v in request.headers.values())
                assert all(isinstance(v, str) for v in request.params.values())
                if request.body is not None:
                    request.body.encode()

    def test_secrets_are_never_shown(self, fixture: Fixture) -> None:
        """Not in repr or str of settings and adapter, nor in any preview."""
        settings, marks = _marked(self.destination.settings_type.model_validate(dict(fixture.settings)))
        adapter = self.destination(settings)
        shown = [repr(settings), str(settings), repr(adapter), repr(adapter.auth), settings.model_dump_json()]
        made = adapter.verdict(fixture.input(), self._at(adapter))
        if isinstance(made, list):
            for request in made:
                seen = with_auth(adapter.auth, request)
                shown += [str(describe(seen, settings.secrets())), curl(seen, settings.secrets())]
        elif isinstance(made, Record):
            shown.append(str(describe_record(made, settings.secrets())))
        else:
            shown.append(str(made))
        for mark in marks:
            assert not [text for text in shown if mark in text]

    def test_a_client_stands_beside_records(self) -> None:
        """What is not HTTP has a client.py with a Client; what is HTTP has none."""
        path = folder(self.destination) / "client.py"
        assert path.exists() == self.destination.records
        if self.destination.records:
            module = importlib.import_module(f"{self.destination.__module__}.client")
            assert callable(module.Client)

    def _single(self, adapter: Destination[Any], event: Event, at: Context) -> bool:
        made = adapter.verdict(event, at)
        return isinstance(made, list) and len(made) == 1


def _case(told: tuple[Fixture, Answer] | None) -> str:
    return f"{told[0].name}-{told[1].status or 'no-answer'}" if told else "none"


def _marked(settings: Any) -> tuple[Any, Sequence[str]]:
    """The settings with every secret replaced by a value that would be recognised anywhere."""
    marks: list[str] = []

    def mark() -> str:
        marks.append(f"s3cr3t-{len(marks)}-mark")
        return marks[-1]

    def replaced(value: Any) -> Any:
        if isinstance(value, SecretUrl):
            address = value.get_secret_value().partition("?")[0].replace("://", f"://user:{mark()}@", 1)
            return SecretUrl(f"{address}?token={mark()}")
        if isinstance(value, SecretStr):
            return SecretStr(mark())
        if isinstance(value, BaseModel):
            fields = {name: replaced(getattr(value, name)) for name in type(value).model_fields}
            return value.model_copy(update=fields)
        if isinstance(value, Mapping):
            return {key: replaced(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(replaced(item) for item in value)
        return value

    return replaced(settings), marks
