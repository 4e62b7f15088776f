"""Requests in a form in which those that mean the same are equal."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

__all__ = ["ANY", "UNKNOWN", "address", "canonical", "difference", "joined", "request_of"]

ANY = "<<any>>"
"""What a recorded answer has where anything fits."""
UNKNOWN = "***"
"""Ends a header with a token that only the network can give."""
_IMPLIED = frozenset({"content-type", "content-encoding", "accept", "user-agent", "content-length", "connection"})
"""Headers that whoever sends adds, or that say nothing that the body does not; a packed body is compared unpacked."""
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)")
_FORMS = {"JSON": "json", "JSON_ARRAY": "json_array", "FORM": "form", "XML": "xml", "GZIP": "raw"}


def request_of(told: Mapping[str, Any]) -> dict[str, Any]:
    """A request as `turnout preview` shows it, or as a peer does, or a record, in one form."""
    if "record" in told:
        return {"record": canonical(_record(told["record"]))}
    url = urlsplit(str(told.get("url", told.get("endpoint", ""))))
    params = dict(parse_qsl(url.query, keep_blank_values=True))
    params |= {name: _text(value) for name, value in (told.get("params") or {}).items()}
    headers = {k.lower(): _text(v) for k, v in (told.get("headers") or {}).items() if k.lower() not in _IMPLIED}
    return {
        "method": str(told.get("method", "POST")).upper(),
        "url": url._replace(query="", fragment="").geturl().rstrip("/"),
        "params": {name: _form(value) for name, value in params.items()},
        "headers": headers,
        "body": _body(told.get("body") or {}),
    }


def _record(told: Mapping[str, Any]) -> dict[str, Any]:
    """A record of ours, of a peer's queue (`message`, `userId`, `topic`), key-value store, or bucket, in our form.

    What a peer leaves to whoever writes it (a bucket, the name of an object) may be anything.
    """
    if "target" in told and "body" in told:
        return {name: _read(value) for name, value in told.items() if name != "events"}
    message = told.get("message")
    if not isinstance(message, Mapping) or "userId" not in told:
        if told.get("userId") == "":  # a peer's mark of an event that is nobody's
            told = {name: value for name, value in told.items() if name != "userId"}
        return {"target": ANY, "key": ANY, "body": _read(told)}
    if "hash" in message:
        return {"target": message["hash"], "key": None, "body": _read({message["key"]: message["value"]})}
    if "key" in message and not {"type", "messageId"} & set(message):
        body = message.get("fields", message.get("value"))
        return {"target": message["key"], "key": message.get("path"), "body": _read(body)}
    schema = {"schema": told["schemaId"]} if "schemaId" in told else {}
    return {"target": told.get("topic", ANY), "key": told["userId"], "body": _read(message)} | schema


def _read(fields: Any) -> Any:
    """An object's texts that are JSON as what they are: how they are spaced says nothing."""
    if not isinstance(fields, Mapping):
        return fields
    return {name: _form(value) if isinstance(value, str) else value for name, value in fields.items()}


def address(request: Mapping[str, Any]) -> tuple[str, str]:
    """Method and address of a request, without its query."""
    plain = request_of({"method": request.get("method") or "GET", "url": request.get("url") or ""})
    return plain["method"], plain["url"]


def _body(body: Mapping[str, Any]) -> dict[str, Any]:
    """One JSON form for objects and arrays; an empty part is none."""
    found = {}
    for name, value in body.items():
        if value not in ({}, [], None, ""):
            form = _FORMS.get(name, name)
            part = canonical(_part(form, value))
            packed = name == "GZIP" and isinstance(part, dict | list)
            if part in ({}, []):
                continue  # as text, too: the array of a batch of requests that have no body
            found["json" if packed or form == "json_array" else form] = part
    return found


def _part(form: str, value: Any) -> Any:
    if form == "json_array":
        batch = value.get("batch", value) if isinstance(value, Mapping) else value
        return json.loads(batch) if isinstance(batch, str) else batch
    if form == "form":
        return {key: _form(item) for key, item in value.items()}
    if form in ("xml", "raw"):
        return _form(value.get("payload", value) if isinstance(value, Mapping) else value)
    return value


def _form(value: Any) -> Any:
    """JSON inside a form's field as what it is."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return canonical(json.loads(value))
        except ValueError:
            return value
    if isinstance(value, list):
        return [_form(item) for item in value]
    return value if isinstance(value, dict) else _text(value)


def joined(requests: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Arrays that go to one address one after the other as one array: how many requests they are is batching."""
    made: list[dict[str, Any]] = []
    for one in requests:
        last = made[-1] if made else None
        if last and _arrays(last, one) and {**last, "body": 0} == {**one, "body": 0}:
            made[-1] = {**last, "body": {"json": [*last["body"]["json"], *one["body"]["json"]]}}
        else:
            made.append(one)
    return made


def _arrays(*requests: Mapping[str, Any]) -> bool:
    return all("body" in one and isinstance(one["body"].get("json"), list) for one in requests)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(canonical(value))


def canonical(value: Any) -> Any:
    """Numbers as JavaScript has them: 1.0 is 1."""
    if isinstance(value, dict):
        return {key: canonical(item) for key, item in value.items()}
    if isinstance(value, list):
        return [canonical(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**63:
        return int(value)
    return value


def difference(wanted: Any, found: Any, place: str = "") -> str:
    """The first place where two values differ, as a sentence; "" where they do not."""
    if wanted == ANY or (isinstance(found, str) and found.endswith(UNKNOWN)):
        return ""
    if isinstance(wanted, str) and ANY in wanted and isinstance(found, str):
        first, *_, last = wanted.split(ANY)
        if found.startswith(first) and found.endswith(last):
            return ""
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key in wanted.keys() | found.keys():
            where = f"{place}.{key}" if place else str(key)
            if key not in found:
                return f"{where}: {_cut(wanted[key])} expected, nothing found"
            if key not in wanted:
                return f"{where}: nothing expected, {_cut(found[key])} found"
            if said := difference(wanted[key], found[key], where):
                return said
        return ""
    if isinstance(wanted, list) and isinstance(found, list):
        if len(wanted) != len(found):
            return f"{place}: {len(wanted)} items expected, {len(found)} found"
        for i, (one, other) in enumerate(zip(wanted, found, strict=True)):
            if said := difference(one, other, f"{place}[{i}]"):
                return said
        return ""
    if isinstance(wanted, str) and isinstance(found, str) and wanted != found and _same_second(wanted, found):
        return ""
    if isinstance(wanted, bool) is not isinstance(found, bool) or wanted != found:
        return f"{place}: {_cut(wanted)} expected, {_cut(found)} found"
    return ""


def _same_second(wanted: str, found: str) -> bool:
    """Whether two times are the same, each with the zone that whoever wrote it stands in."""
    if not (_TIME.fullmatch(wanted) and _TIME.fullmatch(found)):
        return False
    try:
        times = [datetime.fromisoformat(one).replace(microsecond=0) for one in (wanted, found)]
    except ValueError:
        return False
    return times[0] == times[1]


def _cut(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 160 else text[:160] + "…"
