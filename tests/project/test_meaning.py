"""Requests that mean the same are equal to `make vectors`."""

from __future__ import annotations

from typing import Any

from tools.meaning import difference, joined, request_of


def test_spellings_of_one_request() -> None:
    ours = {
        "method": "POST", "url": "https://t.example.org/v1?key=a", "params": {"n": 1}, "headers": {"X-Id": "7"},
        "body": {"form": {"data": '[{"a":1.0}]'}}, "events": [0],
    }
    theirs = {
        "method": "post", "endpoint": "https://t.example.org/v1", "params": {"n": "1", "key": "a"},
        "headers": {"x-id": "7", "Content-Type": "application/x-www-form-urlencoded"},
        "body": {"FORM": {"data": '[ {"a": 1} ]'}, "JSON": {}},
    }
    assert difference(request_of(theirs), request_of(ours)) == ""


def test_records_of_queues_stores_and_buckets() -> None:
    event = {"type": "track", "userId": "u"}
    pairs = [
        ({"message": event, "userId": "u", "topic": "t", "schemaId": "7"},
         {"target": "t", "key": "u", "body": event, "schema": "7", "events": [0]}),
        ({"message": event, "userId": "u"}, {"target": "any", "key": "u", "body": event}),
        ({"message": {"key": "k", "fields": {"a": '[ {"b": 1}]'}}, "userId": "u"},
         {"target": "k", "key": None, "body": {"a": '[{"b":1}]'}}),
        ({"message": {"key": "k", "path": "m", "value": {"a": 1}}, "userId": "u"},
         {"target": "k", "key": "m", "body": {"a": 1.0}}),
        ({"message": {"hash": "h", "key": "m", "value": '{"a": 1}'}, "userId": "u"},
         {"target": "h", "key": None, "body": {"m": '{"a":1}'}}),
        ({"type": "track", "userId": ""}, {"target": "folder", "key": None, "body": {"type": "track"}}),
    ]  # fmt: skip
    for theirs, ours in pairs:
        assert difference(request_of({"record": theirs}), request_of({"record": ours})) == ""
    for theirs, other in (
        ({"message": event, "userId": "u", "topic": "t"}, {"target": "t2", "key": "u", "body": event}),
        ({"message": event, "userId": "u", "topic": "t"}, {"target": "t", "key": "v", "body": event}),
        ({"message": event, "userId": "u", "schemaId": "7"}, {"target": "t", "key": "u", "body": event}),
        ({"message": {"key": "k", "fields": {"a": "1"}}, "userId": "u"}, {"target": "k", "key": None, "body": {}}),
    ):
        assert difference(request_of({"record": theirs}), request_of({"record": other}))


def test_arrays_are_arrays_however_they_are_told() -> None:
    theirs = {"endpoint": "https://t.example.org", "body": {"JSON_ARRAY": {"batch": '[{"a":1}]'}}}
    ours = {"url": "https://t.example.org", "body": {"json_array": [{"a": 1}]}}
    assert difference(request_of(theirs), request_of(ours)) == ""


def test_the_first_difference_is_named() -> None:
    assert difference({"a": [1, {"b": True}]}, {"a": [1, {"b": 1}]}) == "a[1].b: true expected, 1 found"
    assert difference({"a": 1}, {"a": 1, "c": 2}) == "c: nothing expected, 2 found"
    assert difference({"a": "<<any>>"}, {"a": 5}) == ""


def test_a_packed_body_means_what_is_in_it() -> None:
    theirs = {"endpoint": "https://t.example.org", "body": {"GZIP": {"payload": '[{"a": 1}]'}}}
    ours = {
        "url": "https://t.example.org", "headers": {"Content-Encoding": "gzip"}, "body": {"json_array": [{"a": 1}]},
    }
    assert difference(request_of(theirs), request_of(ours)) == ""
    text = {"endpoint": "https://t.example.org", "body": {"GZIP": {"payload": "a,b"}}}
    assert difference(request_of(text), request_of({**ours, "body": {"raw": "a,b"}})) == ""


def test_arrays_to_one_address_in_a_row_are_one() -> None:
    def array(url: str, *items: int) -> dict[str, Any]:
        return request_of({"url": url, "body": {"json_array": list(items)}})

    a, b = "https://t.example.org/a", "https://t.example.org/b"
    assert joined([array(a, 1), array(a, 2), array(b, 3), array(a, 4)]) == [array(a, 1, 2), array(b, 3), array(a, 4)]
    single = request_of({"url": a, "body": {"json": {"n": 1}}})
    assert joined([single, single, {"record": 1}]) == [single, single, {"record": 1}]
