"""JSON as SDKs send it: taken or refused with a reason, and nothing else."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout import codec
from turnout.errors import Refused

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4),
    max_leaves=12,
)

STEADY = settings(deadline=None, derandomize=True)
"""The same cases on every run, however busy the machine."""
TEXT = st.text(st.characters(exclude_categories=()), max_size=20)


@STEADY
@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda t: t.encode("utf-8", "replace")))
def test_bytes_are_decoded_or_refused(data: bytes) -> None:
    with suppress(Refused):
        codec.loads(data)


@STEADY
@given(JSON)
def test_what_is_written_is_read_back(value) -> None:
    again = codec.loads(codec.dumps(value))
    assert json.dumps(_double(again), sort_keys=True) == json.dumps(_double(value), sort_keys=True)


def _double(value):
    """Integers beyond 64 bits as doubles, as JavaScript has them."""
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**64:
        return float(value)
    if isinstance(value, dict):
        return {key: _double(item) for key, item in value.items()}
    return [_double(item) for item in value] if isinstance(value, list) else value


@STEADY
@given(TEXT, TEXT)
def test_any_text_is_written_as_utf8(key: str, text: str) -> None:
    codec.dumps({key: [text]}).decode("utf-8")


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (rb'"\ud800"', "�"), (rb'{"\udfff":"a\ud83dz"}', {"�": "a�z"}), (rb'"\ud83d\ude00"', "😀"),
        (rb'"\ud83d\ud83d\ude00"', "�😀"), (b"\xef\xbb\xbf[1]", [1]), (b"18446744073709551616", 2.0**64),
        (b'{"a":1,"a":2}', {"a": 2}),
    ],
)
def test_what_browsers_send_is_taken(data, value) -> None:
    assert codec.loads(data) == value


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"NaN", "not_a_number"), (b"[-Infinity]", "not_a_number"), (b"1e400", "not_a_number"),
        (b"", "invalid_json"), (b"{", "invalid_json"), (b"{'a':1}", "invalid_json"), (b"1 2", "invalid_json"),
        (b'"\xff"', "invalid_utf8"), (b'"\xed\xa0\x80"', "invalid_utf8"), (b"9" * 500, "number_too_large"),
        (b"9" * 5000, "number_too_large"), (b"[" * 2000 + b"]" * 2000, "too_deep"),
        (b'["\\ud800",' + b"[" * 450 + b"]" * 450 + b"]", "too_deep"),
        (b"[" * 1_000_000, "too_deep"), (b'{"a":' * 100_000, "too_deep"),
    ],
)
def test_what_is_no_json_is_refused_with_a_reason(data, code) -> None:
    with pytest.raises(Refused) as caught:
        codec.loads(data)
    assert caught.value.code == code


def test_a_reason_never_quotes_the_payload() -> None:
    with pytest.raises(Refused) as caught:
        codec.loads(b'{"email": "ines@example.com", oops}')
    assert "ines" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("levels", [10, 250, 390])
def test_deep_values_are_written(levels) -> None:
    value = []
    for _ in range(levels):
        value = [value]
    assert codec.dumps(value) == b"[" * (levels + 1) + b"]" * (levels + 1)


@pytest.mark.parametrize("value", [object(), {1j}, {"a": object()}, b"bytes", {(1, 2): 3}])
def test_what_json_has_no_word_for_is_refused(value) -> None:
    with pytest.raises(Refused):
        codec.dumps(value)


def test_too_deep_or_endless_values_are_refused() -> None:
    endless: list = []
    endless.append(endless)
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    for value in (endless, deep):
        with pytest.raises(Refused):
            codec.dumps(value)


def test_what_python_has_beside_json_is_written() -> None:
    value = {"a": (1, MappingProxyType({"b": 10**20, 2: math.pi}))}
    assert codec.dumps(value) == b'{"a":[1,{"b":100000000000000000000,"2":3.141592653589793}]}'
