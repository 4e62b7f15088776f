"""An adapter on cases: events and settings in, requests and verdicts out, answered from what is recorded.

A case is about the adapter alone, after routing and transformations; nothing is sent. Its own settings
are in it, so nothing of it is masked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from dataplane.inspect.recorded import Call, Network, Sent, text_of
from dataplane.pipeline.route import Filtered, Gate, route
from destinations import registry
from destinations.rudderstack import ACCOUNTS, CONSTANTS, Chosen, slug_of
from turnout import codec
from turnout.auth import Login, OAuth2, bearer, shown
from turnout.bounds import Bounded
from turnout.clock import Clock, parse
from turnout.destination import Context, Delivery, Destination
from turnout.errors import Fixable
from turnout.event import Event
from turnout.preview import describe, describe_record
from turnout.request import Checkpoint, Form, Json, JsonArray, Raw, Record, Request, Response, Xml
from turnout.settings import Settings, spellings
from turnout.values import snake
from turnout.verdict import Outcome, Verdict, dead, delivered, pause, retry

__all__ = ["Case", "answer"]

AnyDestination = Destination[Any]
_DELIVERY = TypeAdapter(Delivery)


def _always(_: Mapping[str, Any]) -> bool:
    return True


def _shaped(kind: type[BaseModel], when: Callable[[Mapping[str, Any]], bool] = _always) -> AfterValidator:
    """Holds what is given against its shape, and leaves it as it was given."""

    def look(value: dict[str, Any]) -> dict[str, Any]:
        if when(value):
            try:
                kind.model_validate(value)
            except ValidationError as error:
                found = error.errors(include_input=False, include_url=False)[0]
                where = ".".join(str(part) for part in found["loc"])
                raise PydanticCustomError("shape", "{where}: {what}", {"where": where, "what": found["msg"]}) from None
        return value

    return AfterValidator(look)


def _made_before(message: Mapping[str, Any]) -> bool:
    return isinstance(message.get("endpoint"), str) and isinstance(message.get("body"), dict)


class _One(BaseModel):
    message: Annotated[dict[str, Any], _shaped(Sent, _made_before)] = {}
    metadata: dict[str, Any] = {}


class _Target(BaseModel):
    id: str = ""
    workspace_id: str | None = None


class Case(BaseModel):
    """A line of `turnout preview --jsonl`.

    `type` is a slug of ours or RudderStack's name, `settings` in either spelling. `network` are the
    calls that are answered, `{"request": {method, url, params, headers, data}, "response": {status,
    headers, data} | "error": text}`. A message may be a request that was made before (`{"method",
    "endpoint", "headers", "params", "body": {"JSON": …}}`): then only its batching is shown. With
    `request`, a whole one, only the answer to it is judged, for all events. In both, settings may be left
    out. Of credentials, an access token that would have to be asked for is shown as `***`; where a call in
    `network` was answered with one, requests go where that says. `metadata.secret` gives settings of an
    account. An event whose metadata has `dontBatch` is sent as one that a batch was taken apart for.
    `constants` are fields of `delivery`, settings, or switches of the peer.
    """

    model_config = ConfigDict(extra="forbid")

    id: str
    type: str
    settings: dict[str, Any] = {}
    destination: _Target = _Target()
    events: list[_One]
    clock: str | None = None
    network: list[Annotated[dict[str, Any], _shaped(Call)]] | None = None
    constants: dict[str, Any] = {}
    request: Annotated[dict[str, Any], _shaped(Sent)] | None = None


def answer(case: Case, clock: Clock) -> dict[str, Any]:
    """`{"id", "requests", "records", "verdicts": [{event, outcome, status, reason}], "warnings", "error"?}`.

    Raises `Fixable` for an unknown type or clock. Settings that are not valid make every event dead.
    """
    slug, implied = slug_of(case.type)
    kind = registry.find(slug)
    now = _now(case, clock)
    chosen = _chosen(case, slug, kind)
    meant = _meant(implied, case.settings, kind.settings_type)
    made_before = case.request is not None or any(_made_before(one.message) for one in case.events)
    account, lacking = _account(case, kind.settings_type)
    if lacking and not made_before:
        verdict = pause(f"no access token: the account gives no {lacking}")
        return _told(case, [], [], [verdict] * len(case.events)) | {"warnings": []}
    given = {**account, **case.settings, **meant, **chosen.settings}
    given |= _around(case, kind.settings_type)
    if made_before or kind.records:  # where to connect to changes nothing of a record
        given |= _examples(kind.settings_type, given)
    settings, warnings, wrong = _settings(kind.settings_type, given)
    if settings is None and made_before:  # credentials of which one is needed, and none is given
        settings, warnings, wrong = _settings(
            kind.settings_type, given | _examples(kind.settings_type, given, every=True)
        )
    if settings is None:
        verdicts: Sequence[Verdict] = [dead(wrong)] * len(case.events)
        return _told(case, [], [], verdicts) | {"warnings": warnings}
    if made_before:
        kind = type(kind.__name__, (kind,), {"verdict": _given})
    adapter = kind(settings)
    at = Context(now, replace(adapter.delivery, **chosen.delivery))
    events = [_event(one, adapter) for one in case.events]
    if adapter.records:
        records, verdicts = _records(adapter, events, at)
        return _told(case, [], records, verdicts) | {"warnings": warnings}
    network = Network(case.network)
    requests, verdicts = _exchanged(adapter, events, at, network, case)
    said = _told(case, [shown(adapter.auth, one) for one in requests], [], verdicts) | {"warnings": warnings}
    return said | {"error": network.missing} if network.missing else said


def _told(
    case: Case, requests: Iterable[Request], records: Iterable[tuple[int, Record]], verdicts: Sequence[Verdict]
) -> dict[str, Any]:
    return {
        "id": case.id,
        "requests": [describe(request, masked=False) for request in requests],
        "records": [{**describe_record(record), "events": [i]} for i, record in records],
        "verdicts": [
            {"event": i, "outcome": str(v.outcome), "status": v.status, "reason": v.reason}
            for i, v in enumerate(verdicts)
        ],
    }


def _now(case: Case, clock: Clock) -> datetime:
    if case.clock is None:
        return clock.now()
    found = parse(case.clock)
    if found is None:
        raise Fixable(f"case {case.id}: clock is no time: {case.clock[:40]}")
    return found.astimezone(UTC)


def _chosen(case: Case, slug: str, kind: type[AnyDestination]) -> Chosen:
    known = CONSTANTS.get(slug, {})
    settings: dict[str, Any] = {}
    delivery: dict[str, Any] = {}
    ways = {field.name for field in fields(Delivery)}
    for name, value in case.constants.items():
        if name in known:
            one = known[name](value)
            settings.update(one.settings)
            delivery.update(one.delivery)
        elif name in ways:
            delivery[name] = value
        elif name in kind.settings_type.model_fields:
            settings[name] = value
    try:
        made = _DELIVERY.validate_python(delivery)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)[0]
        raise Fixable(f"case {case.id}: constants: {'.'.join(map(str, found['loc']))}: {found['msg']}") from None
    return Chosen(settings, {name: getattr(made, name) for name in delivery})


def _meant(implied: Mapping[str, Any], given: Mapping[str, Any], kind: type[Settings]) -> dict[str, Any]:
    """Of the settings that a name stands for, those that are not given, in whichever spelling."""
    fields_ = kind.model_fields
    return {
        name: value for name, value in implied.items()
        if not any(one in given for one in (name, *spellings(name, fields_[name])))
    }


def _around(case: Case, kind: type[Settings]) -> dict[str, str]:
    """What a peer knows of a destination beside its settings, where we have a setting for it."""
    workspaces = (one.metadata.get("workspaceId") for one in case.events)
    workspace = case.destination.workspace_id or next((one for one in workspaces if isinstance(one, str)), "")
    known = {"workspace_id": workspace, "destination_id": case.destination.id}
    return {name: value for name, value in known.items() if value and name in kind.model_fields}


def _examples(kind: type[Settings], given: Mapping[str, Any], *, every: bool = False) -> dict[str, Any]:
    """The settings that must be given (or all) and are not: what an answer means seldom depends on them."""
    return {
        name: info.examples[0] for name, info in kind.model_fields.items()
        if (every or info.is_required()) and info.examples
        and not any(one in given for one in (name, *spellings(name, info)))
    }


def _account(case: Case, kind: type[Settings]) -> tuple[dict[str, Any], str]:
    """What a peer keeps of an account beside the settings (`metadata.secret`), where we have a setting for it.

    With the name of what the peer's definition needs of it (`ACCOUNTS`) and is not there, "" where all is.
    """
    secrets = (one.metadata.get("secret") for one in case.events)
    secret: dict[str, Any] = next((one for one in secrets if isinstance(one, dict)), {})
    found = {snake(name): value for name, value in secret.items() if snake(name) in kind.model_fields}
    needs = ACCOUNTS.get(case.type.upper())
    if needs is None:
        return found, ""
    lacking = next((name for name in needs if not found.get(name)), "")
    return {} if lacking else {name: found[name] for name in needs}, lacking


def _settings(kind: type[Settings], given: Mapping[str, Any]) -> tuple[Settings | None, list[str], str]:
    """Settings, with a warning for each name they do not know; None and why where they are not valid."""
    left = dict(given)
    warnings: list[str] = []
    while True:
        try:
            return kind.model_validate(left), warnings, ""
        except ValidationError as error:
            found = error.errors(include_input=False, include_url=False)
            strange = [one["loc"] for one in found if one["type"] == "extra_forbidden"]
            if not strange:
                where, what = ".".join(str(part) for part in found[0]["loc"]), found[0]["msg"]
                return None, warnings, f"settings: {where}: {what[0].lower()}{what[1:]}"
            for place in strange:
                warnings.append(f"unknown setting {'.'.join(str(part) for part in place)}")
                left = _less(left, place)


def _less(value: Any, place: Sequence[int | str]) -> Any:
    """A copy without what stands at a place; other spellings of names on the way are looked for too."""
    head, rest = place[0], place[1:]
    if isinstance(value, list) and isinstance(head, int):
        return [_less(item, rest) if i == head else item for i, item in enumerate(value)]
    if not isinstance(value, Mapping):
        return value
    name = head if head in value else _spelled(str(head), value)
    if not rest:
        return {key: item for key, item in value.items() if key != name}
    return {key: _less(item, rest) if key == name else item for key, item in value.items()}


def _spelled(name: str, value: Mapping[str, Any]) -> str:
    plain = name.replace("_", "").lower()
    return next((key for key in value if key.replace("_", "").lower() == plain), name)


def _event(one: _One, adapter: AnyDestination) -> Event:
    """As the engine would hand it in; of a trusted source, since whoever writes a case owns it."""
    message = _unwrapped(one.message) if adapter.records else one.message
    user = message.get("userId") or message.get("anonymousId") or one.metadata.get("userId") or ""
    key = int.from_bytes(sha256(str(user).encode("utf-8", "replace")).digest()[:8]) if user else 0
    gate = Gate("", tuple(name.lower() for name in adapter.names), frozenset(), options=adapter.options)
    kind = str(message.get("type", "")).lower()
    way = route(message.get("integrations"), kind, "", replace(gate, kinds=frozenset((kind,))))
    options = {} if isinstance(way, Filtered) else way.options
    source = str(one.metadata.get("sourceId") or "case")
    job = one.metadata.get("jobId")  # where a peer's queue has an event is what `number` is here
    number = job if isinstance(job, int) and not isinstance(job, bool) and job > 0 else 1
    return Event(codec.dumps(message), key=key, number=number, source=source, options=options, trusted=True)


def _unwrapped(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """The event in a peer's record of a queue, `{message, userId, …}`."""
    inner = message.get("message")
    return inner if "type" not in message and isinstance(inner, dict) else message


# ---- driving


def _records(
    adapter: AnyDestination, events: Sequence[Event], at: Context
) -> tuple[list[tuple[int, Record]], list[Verdict]]:
    """The records, each with the place of its event, and a verdict for each event."""
    records: list[tuple[int, Record]] = []
    verdicts: list[Verdict] = []
    for i, event in enumerate(events):
        made = adapter.verdict(event, at)
        if isinstance(made, Record):
            records.append((i, made))
            verdicts.append(delivered())
        else:
            assert isinstance(made, Verdict), "a tool that is not HTTP makes records"
            verdicts.append(made)
    return records, verdicts


def _exchanged(
    adapter: AnyDestination, events: Sequence[Event], at: Context, network: Network, case: Case
) -> tuple[list[Request], Sequence[Verdict]]:
    if case.request is not None:
        request = replace(_request(case.request), events=tuple(range(len(events))))
        response = network.answer(request)
        refused = response.status >= 300 and adapter.takes_whole(request)
        return [request], _apart(case, adapter.verdicts(request, response, at), whole=refused)
    sent: list[Request] = []
    verdicts: dict[int, Verdict] = {}
    alone = [i for i, one in enumerate(case.events) if one.metadata.get("dontBatch")]
    for places in ([i for i in range(len(events)) if i not in alone], alone):
        way = replace(at, delivery=replace(at.delivery, batch=1)) if places is alone else at
        requests, found = _driven(adapter, [events[i] for i in places], way, network)
        sent += [replace(one, events=tuple(places[i] for i in one.events)) for one in requests]
        verdicts.update(zip(places, found, strict=True))
    return sent, [verdicts[i] for i in range(len(events))]


def _apart(case: Case, verdicts: Sequence[Verdict], *, whole: bool) -> Sequence[Verdict]:
    """A batch that is refused as a whole is taken apart where the tool takes all or none: no event is dead yet."""
    whole = whole and len(verdicts) > 1 and all(one.outcome is Outcome.DEAD for one in verdicts)
    if not whole or any(one.metadata.get("dontBatch") for one in case.events):
        return verdicts
    return [retry(f"sent again in a smaller batch: {one.reason}", status=one.status) for one in verdicts]


def _driven(
    adapter: AnyDestination, events: Sequence[Event], at: Context, network: Network
) -> tuple[list[Request], Sequence[Verdict]]:
    sent: list[Request] = []
    steps = Bounded(adapter.slug, adapter.exchange(events, at), len(events))
    reply: Response | None = None
    while True:
        try:
            asked = steps.send(reply)
        except StopIteration as stop:
            return sent, stop.value
        if isinstance(asked, Checkpoint):
            reply = None
            continue
        if isinstance(adapter.auth, OAuth2 | Login):
            asked = bearer(adapter.auth, asked, network.token(adapter.auth))
        sent.append(asked)
        reply = network.answer(shown(adapter.auth, asked))


# ---- requests that were made before


def _given(self: AnyDestination, event: Event, at: Context) -> list[Request]:
    return [_request(event.message)]


def _request(message: Mapping[str, Any]) -> Request:
    headers = {name: text_of(value) for name, value in (message.get("headers") or {}).items()}
    params = {name: text_of(value) for name, value in (message.get("params") or {}).items()}
    method = str(message.get("method") or "POST")
    return Request(method, str(message.get("endpoint", "")), _body(message.get("body") or {}), headers, params)


def _several(value: Any) -> str | list[str]:
    """A field of a form, or one that is there several times."""
    return [text_of(one) for one in value] if isinstance(value, list) else text_of(value)


def _body(body: Mapping[str, Any]) -> Json | JsonArray | Form | Xml | Raw | None:
    if body.get("JSON_ARRAY"):
        batch = body["JSON_ARRAY"].get("batch", "[]")
        return JsonArray(codec.loads(batch.encode()) if isinstance(batch, str) else batch)
    if body.get("JSON"):
        return Json(body["JSON"])
    if body.get("FORM"):
        return Form({name: _several(value) for name, value in body["FORM"].items()})
    if body.get("XML"):
        return Xml(str(body["XML"].get("payload", "")))
    if body.get("GZIP"):
        return Raw(text_of(body["GZIP"].get("payload", "")).encode())
    return None
