"""The HTTP destination beyond the contract: a strict API, batches, paths, sources, targets, XML."""

from __future__ import annotations

import base64
import copy
import json
from contextlib import suppress
from typing import Any
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from destinations import registry
from destinations.http.settings import HttpSettings
from destinations.http.xml import xml
from destinations.rudderstack import slug_of
from turnout import Context, Event
from turnout.errors import Refused
from turnout.mapping import Body, source
from turnout.preview import describe
from turnout.testing import DestinationContract, FakeClock, Received, Tool

STEADY = settings(deadline=None, derandomize=True)
NOW = FakeClock().now()
URL = "https://api.boats.example/v2/boats"


class Boats(Tool):
    """An API as people have them: a key, a content type, required fields, arrays of five at most."""

    def answered(self, asked: Received) -> tuple[int, Any]:
        if asked.headers.get("authorization") != "Bearer tok-mast":
            return 401, {"error": "who are you"}
        if asked.method == "GET":
            return (200, []) if asked.path.startswith("/v2/boats/") else (404, {})
        if asked.headers["content-type"] != "application/json":
            return 415, {"error": "JSON, please"}
        boats = asked.json()
        if not isinstance(boats, list):
            boats = [boats]
        if len(boats) > 5:
            return 413, {"error": "five at most"}
        return (201, {}) if all(boat.get("name") for boat in boats) else (422, {"error": "a boat has a name"})


class TestContract(DestinationContract):
    destination = registry.find("http")


def build(**chosen: Any):
    return registry.build("http", {"api_url": URL, **chosen})


def event(**fields: Any) -> Event:
    message = {"type": "track", "messageId": "m-1", "userId": "c-1", "event": "Boat Moored", **fields}
    return Event(message=message, key=crc32(str(message["userId"]).encode("utf-8", "replace")) or 1)


def request(adapter: Any, one: Event) -> Any:
    made = adapter.verdict(one, Context(NOW))
    return made[0] if isinstance(made, list) else made


def boat(**chosen: Any) -> Any:
    return build(auth="bearer", bearer_token="tok-mast", body={"name": "$.properties.boat"}, **chosen)


def deliver(adapter: Any, events: list[Event]) -> tuple[list[str], list[Received]]:
    with Boats() as api:
        found = api.deliver(adapter, events, Context(NOW, adapter.delivery))
        return [str(one.outcome) for one in found], api.received


def test_one_by_one_and_in_batches() -> None:
    events = [event(userId=f"c-{i}", properties={"boat": f"B{i}"}) for i in range(12)]
    found, came = deliver(boat(), events)
    assert (set(found), len(came)) == ({"delivered"}, 12)
    found, came = deliver(boat(is_batching_enabled=True, max_batch_size="5"), events)
    assert set(found) == {"delivered"}
    assert [[one["name"] for one in each.json()] for each in came] == [
        [f"B{i}" for i in batch] for batch in (range(5), range(5, 10), range(10, 12))
    ]
    assert isinstance(deliver(boat(is_batching_enabled=True), events[:1])[1][0].json(), list), "one shape for all"


def test_an_api_that_refuses_says_so_for_whom_it_concerns() -> None:
    assert deliver(boat(), [event(), event(properties={"boat": "Ada"})])[0] == ["dead", "delivered"]
    many = boat(is_batching_enabled=True, max_batch_size=6)
    assert deliver(many, [event(properties={"boat": "A"})] * 6)[0] == ["dead"] * 6
    wrong = build(auth="bearer", bearer_token="tok-other", body={"name": "x"})
    assert deliver(wrong, [event(), event()])[0] == ["pause", "pause"]


def test_what_has_other_headers_params_or_address_travels_apart() -> None:
    events = [event(userId=user, properties={"boat": "A", "pier": pier}) for user in "ab" for pier in (1, 2)]
    for chosen in (
        {"headers": {"X-Pier": "$.properties.pier"}}, {"query_params": {"pier": "$.properties.pier"}},
        {"path_params": ["$.properties.pier"]},
    ):
        found, came = deliver(boat(is_batching_enabled=True, **chosen), events)
        assert set(found) == {"delivered"}
        assert sorted(len(one.json()) for one in came) == [2, 2]


def test_requests_without_a_body_that_are_the_same_are_sent_once() -> None:
    chosen = {"method": "GET", "path_params": ["$.properties.pier"]}
    events = [event(userId=f"c-{i}", properties={"pier": i % 2}) for i in range(6)]
    assert len(deliver(boat(**chosen), events)[1]) == 6
    found, came = deliver(boat(is_batching_enabled=True, **chosen), events)
    assert (set(found), [one.path for one in came]) == ({"delivered"}, ["/v2/boats/0", "/v2/boats/1"])
    assert not came[0].body


@pytest.mark.parametrize("form", ["FORM", "XML"])
def test_forms_and_documents_are_never_arrays(form) -> None:
    adapter = build(format=form, is_batching_enabled=True)
    assert adapter.delivery.batch == 1


def test_credentials_are_added_and_never_shown() -> None:
    adapter = build(auth="basicAuth", username="mate", password="p-anchor", headers={"X-Token": "'h-anchor'"})
    made = request(adapter, event(note="h-anchor p-anchor"))
    assert "Authorization" not in made.headers
    shown = str(describe(made, adapter.settings.secrets()))
    assert "p-anchor" not in shown
    assert made.headers["X-Token"] == "h-anchor"
    assert "'X-Token': '***'" in shown
    with Boats() as api:
        api.deliver(adapter, [event()], Context(NOW, adapter.delivery))
        (came,) = api.received
    assert base64.b64decode(came.headers["authorization"].removeprefix("Basic ")) == b"mate:p-anchor"


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ({"auth": "bearer"}, "auth bearer needs bearer_token"), ({"auth": "basicAuth"}, "needs username"),
        ({"auth": "apiKeyAuth"}, "needs key_value"), ({"method": "TRACE"}, "POST"), ({"format": "YAML"}, "JSON"),
        ({"max_batch_size": 0}, "greater than"), ({"headers": {"Host": "x"}}, "set by Turnout itself"),
        ({"headers": {"a b": "x"}}, "letters, digits"), ({"headers": {"$.a.b": "x"}}, "a name is expected"),
        ({"headers": {"X": "process.env||$.userId"}}, "is expected"), ({"headers": {"X": "{{#if}}"}}, "names nothing"),
        ({"query_params": {"a": "$.a[?(@.b>1)]"}}, "for a transformation"),
        ({"query_params": {"a": "$.a.sum()"}}, "not understood"),
        ({"query_params": {"a": "($.a"}}, "not closed"), ({"query_params": {"a": "'x' 'y'"}}, "not understood"),
        ({"query_params": {"a": "$.a +"}}, "is expected"), ({"path_params": ["Bearer $.a"]}, "written {{name}}"),
        ({"body": {"$..a": "x"}}, "where it goes"), ({"body": {"$.a[-1]": "x"}}, "a place in a list"),
        ({"body": {"$.a[": "x"}}, "not understood"), ({"body": {"$[*].a": "x", "$.b": "y"}}, "a list"),
        ({"body": [{"from": "x"}]}, "must be a mapping"), ({"api_url": "boats"}, "address"),
        ({"api_url": "https://u:p@b.example/", "headers": {"authorization": "'x'"}}, "api_url has a user"),
        ({"api_url": "https://u:p@b.example/", "auth": "bearer", "bearer_token": "t"}, "api_url has a user"),
    ],
)
def test_a_setting_that_cannot_be_meant_says_why(chosen, told) -> None:
    with pytest.raises(ValidationError) as caught:
        build(**chosen)
    assert told in str(caught.value)


MESSAGE = {
    "a": 1, "b": {"c": "x", "odd name": 2, "e": "", "f": False}, "n": 0, "$set": 3, "big": 10**400,
    "list": [{"v": 1}, {"v": 2, "w": {"v": 3}}, {"w": 4}, "s"],
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$", MESSAGE), ("$.a", 1), ("$.b.c", "x"), ("$['b']['odd name']", 2), ("$.b.'odd name'", 2),
        ('$["b"].c', "x"), ("$.$set", 3), ("$.list[0].v", 1), ("$.list[-1]", "s"), ("$.list[9]", None),
        ("$.list[*].v", [1, 2, None, None]), ("$.list[1:3].v", [2, None]), ("$.list[:1].v", [1]),
        ("$.list.*.w.v", [None, 3, None, None]),
        ("$..v", [1, 2, 3]), ("$.b.*", ["x", 2, "", False]), ("$.nothing[*].x", []), ("$.a.b.c", None),
        ("plain text", "plain text"), ("'quoted \\' text'", "quoted ' text"), ('"x"', "x"), ("-2.5", -2.5),
        ("007", "007"),
        ("true", True), ("null", None), ("application/json", "application/json"), ("Bearer a+b", "Bearer a+b"),
        ("$.nothing || $.b.c || 'z'", "x"), ("$.b.e || 'z'", "z"), ("$.b.e ?? 'z'", ""), ("$.n || 5", 5),
        ("$.n ?? 5", 0), ("$.b.f ?? true", False), ("$.x||'a' + 1", "a1"), ("($.x || $.a) + 1", 2), ("$.a + 0.5", 1.5),
        ("$.a + $.b.c + $.nothing", "1x"), ("$.big + 1", 10**400 + 1),
        ("{{a}}-{{$.b.c}}{{#if $.n}}!{{/if}}", "1-x"), ("<{{b.c}}>", "<x>"),
    ],
)
def test_where_a_value_comes_from(text, value) -> None:
    found = source(text).find(MESSAGE)
    assert (found, type(found)) == (value, type(value))


def test_a_number_of_a_header_stays_as_it_was_written() -> None:
    made = request(build(headers={"X-Version": "1.0", "X-Other": 2}, path_params=["v", "1.0", 3]), event())
    assert made.headers == {"X-Version": "1.0", "X-Other": "2"}
    assert made.url == f"{URL}/v/1.0/3"


@pytest.mark.parametrize(
    ("mappings", "body"),
    [
        ({"x": "$.a", "y.z": "$.b.c"}, {"x": 1, "y": {"z": "x"}}),
        ({"$.x[1].v": "$.a", "$.x[0]": "first"}, {"x": ["first", {"v": 1}]}),
        ({"$[*].id": "$.list[*].v"}, [{"id": 1}, {"id": 2}, {}, {}]), ({"$[0].id": "$.a"}, [{"id": 1}]),
        ({"$.x[*]": "$.list[0:2].v"}, {"x": [1, 2]}), ({"$.x[*].id": "$.a"}, {"x": [{"id": 1}]}),
        ({"$.x": "$.a", "$.x.y": "$.b.c"}, {"x": {"y": "x"}}), ({"$": "$.b", "$.e": "$.a"}, {**MESSAGE["b"], "e": 1}),
        ({"$.x": "$.list[*].w.v"}, {"x": [3]}), ({"$.b": "$.b", "$.b.new": "1"}, {"b": {**MESSAGE["b"], "new": 1}}),
    ],
)
def test_where_a_value_goes(mappings, body) -> None:
    before = copy.deepcopy(MESSAGE)
    assert Body(mappings).made(MESSAGE) == body
    assert before == MESSAGE, "the event is as it was"


def test_a_root_that_is_no_object_is_dead() -> None:
    with pytest.raises(Refused, match="no object"):
        Body({"$": "$.a"}).made(MESSAGE)


NAMES = st.text(st.characters(categories=["Ll", "Lu"], codec="utf-8"), min_size=1, max_size=4)
LEAF = st.booleans() | st.integers() | st.text(max_size=6)
TREE = st.recursive(LEAF, lambda inner: st.dictionaries(NAMES, inner, min_size=1, max_size=3), max_leaves=12)


def leaves(value: Any, path: str = "$") -> list[str]:
    if not isinstance(value, dict):
        return [path]
    return [leaf for name, inner in value.items() for leaf in leaves(inner, f"{path}.{name}")]


@STEADY
@given(st.dictionaries(NAMES, TREE, min_size=1, max_size=3))
def test_what_is_mapped_to_itself_is_the_same(message) -> None:
    assert Body({path: path for path in leaves(message)}).made(message) == message


@STEADY
@given(st.text(min_size=1).filter(lambda text: text not in (".", "..")))
def test_a_part_of_the_path_is_one_part_and_comes_back(text) -> None:
    made = request(build(path_params=["$.userId", "end"]), event(userId=text))
    path = urlsplit(made.url).path.split("/")
    assert (path[-1], len(path), unquote(path[-2])) == ("end", 5, text.encode("utf-8", "replace").decode())


@STEADY
@given(st.text(st.sampled_from("$.[]*'\"()|?+{}ab01:- "), max_size=30))
def test_any_text_is_a_source_or_says_why_not(text) -> None:
    with suppress(ValueError, Refused):
        source(text).find(MESSAGE)
    with suppress(ValueError, Refused):
        json.dumps(Body({text: "1", f"$.a{text}": "$.list[*]"}).made(MESSAGE))


JSON = st.recursive(
    st.none() | LEAF | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)


@STEADY
@given(JSON, st.text(max_size=5))
def test_any_value_is_a_document_that_can_be_read(value, root) -> None:
    ElementTree.fromstring(xml(value, root).encode("utf-8", "replace"))


def test_a_document_has_one_outermost_element() -> None:
    assert xml({"visit": {"no": 1}}).endswith("?><visit><no>1</no></visit>")
    assert xml({"visit": [1, 2]}).endswith("?><root><visit>1</visit><visit>2</visit></root>")
    assert xml([1], "visits").endswith("?><visits><item>1</item></visits>")
    assert xml({"1st": "\x00\ud800a"}, "r").endswith("?><r><_1st>a</_1st></r>")


def test_what_is_configured_as_rudderstacks_has_no_body_without_mappings() -> None:
    slug, implied = slug_of("HTTP")
    for chosen, body in (({}, {}), ({"is_default_mapping": True}, event().message)):
        adapter = registry.build(slug, {"apiUrl": URL, "auth": "noAuth", **implied, **chosen})
        assert request(adapter, event()).body.value == body


def test_the_text_of_a_header_is_a_secret_without_the_quotes_of_its_mapping() -> None:
    made = HttpSettings(api_url="https://boats.example", headers={"X-Key": "'k-boats-7781'"})
    assert "k-boats-7781" in made.secrets()
