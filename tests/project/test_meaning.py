"""Requests that mean the same are equal to `make vectors`."""

from __future__ import annotations

from tools.meaning import difference, request_of


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


def test_arrays_are_arrays_however_they_are_told() -> None:
    theirs = {"endpoint": "https://t.example.org", "body": {"JSON_ARRAY": {"batch": '[{"a":1}]'}}}
    ours = {"url": "https://t.example.org", "body": {"json_array": [{"a": 1}]}}
    assert difference(request_of(theirs), request_of(ours)) == ""


def test_the_first_difference_is_named() -> None:
    assert difference({"a": [1, {"b": True}]}, {"a": [1, {"b": 1}]}) == "a[1].b: true expected, 1 found"
    assert difference({"a": 1}, {"a": 1, "c": 2}) == "c: nothing expected, 2 found"
    assert difference({"a": "<<any>>"}, {"a": 5}) == ""
