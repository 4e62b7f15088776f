"""The rudder protocol: what is taken, which key it gets, and that `split` agrees with `parse`."""

from __future__ import annotations

import json
import sys
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane.log.base import MARK, REFUSED
from dataplane.protocols import PROTOCOLS, lenient, record
from turnout import codec
from turnout.errors import FormatError, Refused
from turnout.protocol import Envelope, Limits, Parsed, Route

RUDDER = PROTOCOLS["rudder"]
LIMITS = Limits()
BATCH = Route("/v1/batch")


def route(kind: str) -> Route:
    return next(r for r in RUDDER.routes if r.kind == kind)


def parse(body: bytes, kind: str = "", **options) -> Parsed:
    return RUDDER.parse(body, route(kind), options.pop("limits", LIMITS), **options)


def envelope(parsed: Parsed, kind: str = "", **more) -> Envelope:
    return Envelope("s", "rudder", kind, 1, "", "", parsed.slow, parsed.refused, **more)


def batch(*events: object) -> bytes:
    return json.dumps({"batch": events}).encode()


# -- bounds ---


@pytest.mark.parametrize("event", [b"{}", b'{"a":[1,[2]]}'])
@pytest.mark.parametrize(("first", "last"), [(b"", b""), (b"1,[],", b""), (b"", b",NaN"), (b"", b',{"a":"\\ud800"}')])
def test_events_too_many_are_refused_before_they_are_made(event, first, last):
    body = b'{"batch":[' + first + b",".join([event] * 300_000) + last + b"]}"
    tracemalloc.start()
    try:
        with pytest.raises(Refused, match="5000 events"):
            parse(body)
        assert tracemalloc.get_traced_memory()[1] < 300_000, "one byte for each would be too much"
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("number", [4999, 5000, 5001])
@pytest.mark.parametrize("odd", [b"{}", b"1", b'"x"', b"null", b"[]", b"[1]", b"[[1]]", b"NaN", b"1e9"])
def test_the_limit_of_events_is_exact_whatever_is_among_them(number, odd):
    event = b'{"type":"track","userId":"u"}'
    body = b'{"batch":[' + b",".join([event, odd, *[event] * (number - 2)]) + b"]}"
    if number > LIMITS.events:
        with pytest.raises(Refused, match="5000 events"):
            parse(body)
        return
    assert list(parse(body).refused) == [1]
    assert len(parse(body).keys) == number


@pytest.mark.parametrize("kind", ["track", ""])
@pytest.mark.parametrize("odd", [b'"type":[1],', b'"anonymousId":{},', b""])
def test_a_lone_surrogate_in_an_id_never_hides_what_else_is_wrong(kind, odd):
    event = b'{"context":1,' + odd + b'"userId":0,"messageId":"\\ud800"}'
    parsed = parse(event if kind else b'{"batch":[' + event + b"]}", kind)
    whole = kind and odd != b'"anonymousId":{},'
    assert list(parsed.keys) == (["0"] if whole else [""])
    assert (0 in parsed.refused) == (not whole)


# -- order keys -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "key"),
    [
        ({"anonymousId": "a", "userId": "u"}, "a"),
        ({"anonymousId": "", "userId": "u"}, "u"),
        ({"anonymousId": None, "userId": "u"}, "u"),
        ({"userId": 7}, "7"),
        ({"userId": 0}, "0"),
        ({"anonymousId": 0, "userId": "u"}, "0"),
        ({"userId": 1.5}, "1.5"),
        ({"userId": 12345678901234567890123}, "12345678901234567890123"),
        ({"userId": "ü\u0000"}, "ü\u0000"),
    ],
)
@pytest.mark.parametrize("kind", ["track", ""])
def test_the_order_key_is_anonymous_id_else_user_id(event, key, kind):
    body = json.dumps(event).encode() if kind else batch({"type": "track", **event})
    assert list(parse(body, kind).keys) == [key]


def test_alias_and_group_may_come_with_their_own_ids():
    parsed = parse(batch(
        {"type": "alias", "previousId": "p", "messageId": "m"}, {"type": "group", "groupId": 3},
        {"type": "track", "groupId": "g"}, {"type": "alias", "groupId": "g"},
        {"type": "alias", "previousId": ""},
    ))
    assert parsed.keys == ["m", "3", "", "", ""]
    assert {code for code, _ in parsed.refused.values()} == {"missing_id"}
    assert list(parse(b'{"previousId":"p"}', "alias").keys) == ["p"]


def test_the_header_stands_in_where_an_event_has_neither_id():
    parsed = parse(batch({"type": "track"}, {"type": "track", "userId": "u"}), anonymous_id="h")
    assert parsed.keys == ["h", "u"]
    assert not parsed.refused


def test_the_path_decides_the_type():
    assert list(parse(b'{"type":"nonsense","userId":"u"}', "track").keys) == ["u"]
    assert list(parse(b'{"type":7,"userId":"u"}', "track").keys) == ["u"]


@pytest.mark.parametrize(
    ("row", "key"),
    [
        ({"identifiers": {"id": 7}}, 'record:{"id":7}'),
        ({"identifiers": {"b": "\ud800", "a": 1}, "messageId": "m"}, 'record:{"a":1,"b":"\ufffd"}'),
        ({"identifiers": {"a": 1}, "userId": "u"}, "u"),
        ({"identifiers": {}}, ""), ({"identifiers": [1]}, ""), ({}, ""),
    ],
)
def test_a_row_of_a_warehouse_is_kept_in_order_by_what_identifies_it(row, key):
    body = json.dumps({"batch": [{"type": "record", "action": "update", **row}]}).encode()
    parsed = parse(body, trusted=True)
    assert list(parsed.keys) == [key]
    assert bool(parsed.refused) == (not key)
    if not key:
        assert parsed.refused[0] == ("missing_id", "a record needs identifiers, an anonymousId or a userId")


def test_types_of_a_batch_are_compared_without_case():
    parsed = parse(batch({"type": "TRACK", "userId": "u"}, {"type": "Identify", "userId": "v"}))
    assert parsed.keys == ["u", "v"]


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        ({"type": "track", "userId": {}}, "invalid_field"),
        ({"type": "track", "userId": "u", "anonymousId": True}, "invalid_field"),
        ({"type": "track", "userId": ["u"]}, "invalid_field"),
        ({"type": 7, "userId": "u"}, "invalid_field"),
        ({"userId": "u"}, "unknown_type"),
        ({"type": "record", "userId": "u"}, "unknown_type"),
        (7, "not_an_object"), ("x", "not_an_object"), (None, "not_an_object"), ([], "not_an_object"),
        ({"type": "track", "userId": "u", "x": float("nan")}, "not_a_number"),
        ({"type": "track", "userId": "u", "x": [float("-inf")]}, "not_a_number"),
    ],
)
def test_a_bad_event_is_refused_and_its_siblings_are_not(bad, code):
    good = {"type": "track", "userId": "g"}
    body = batch(good, bad, good)
    parsed = parse(body)
    assert parsed.keys == ["g", "", "g"]
    assert {i: reason[0] for i, reason in parsed.refused.items()} == {1: code}
    assert len(RUDDER.split(envelope(parsed), body)) == 3


def test_reasons_never_quote_values():
    parsed = parse(batch({"type": "track", "userId": {"ssn": "078-05-1120"}}, {"type": "ada@example.com"}))
    assert "078" not in repr(parsed.refused)
    assert "ada" not in repr(parsed.refused)


# -- the slow path --------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ['"\\ud800"', '"\\udc00x"', '"a\\ud83d"', '"\\ud83d\\ude00\\ud83d"'])
@pytest.mark.parametrize("field", ["userId", "other"])
@pytest.mark.parametrize("kind", ["track", ""])
def test_lone_surrogates_are_taken(text, field, kind):
    event = f'{{"type":"track","anonymousId":"a","{field}":{text}}}'
    body = (event if kind else f'{{"batch":[{event}]}}').encode()
    parsed = parse(body, kind)
    assert list(parsed.keys) == ["a"]
    assert not parsed.refused
    (unit,) = RUDDER.split(envelope(parsed, kind), body)
    assert "\ufffd" in codec.loads(unit.raw)[field]


def test_a_byte_order_mark_is_taken():
    body = b'\xef\xbb\xbf{"userId":"u"}'
    parsed = parse(body, "track")
    assert parsed.slow
    (unit,) = RUDDER.split(envelope(parsed, "track"), body)
    assert unit.raw == b'{"userId":"u"}'
    assert (unit.offset, unit.length) == (0, 0)


def test_a_unit_is_its_object_and_no_blanks():
    body = b' \r\n{"userId":"u"}\n'
    (unit,) = RUDDER.split(envelope(parse(body, "track"), "track"), body)
    assert unit.raw == b'{"userId":"u"}' == body[unit.offset : unit.offset + unit.length]


def test_a_body_that_only_a_shallow_stack_could_read_is_split_all_the_same():
    deep = b'{"batch":[{"type":"track","userId":"u","x":%b%b} , {"type":"track","userId":"v"}]}'
    body = deep % (b"[" * 400, b"]" * 400)
    parsed = parse(body)

    def at(depth: int) -> list[bytes]:
        return at(depth - 1) if depth else [unit.raw for unit in RUDDER.split(envelope(parsed), body)]

    units = at(sys.getrecursionlimit() - 350)
    assert [json.loads(raw)["userId"] for raw in units] == ["u", "v"]


@given(st.lists(st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.sampled_from('[]{},:"\\ batch')),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=2), below, max_size=3),
), max_size=4), st.sampled_from([None, 1]), st.booleans())
def test_spans_find_what_a_parser_finds(items, indent, before):
    value = {"a": [1, {"batch": [2]}], "batch": items, "z": '"batch":['}
    text = json.dumps(value, indent=indent)
    if before:
        text = '{"batch":[9,9],' + text[1:]
    body = text.encode()
    found = [body[start:end] for start, end in lenient.spans(body, "batch")]
    assert [json.loads(raw) for raw in found] == items
    assert all(raw == raw.strip() for raw in found)


# -- bounds ---------------------------------------------------------------------------------------


def test_events_above_their_size_are_refused_alone():
    limits = Limits(event=200)
    small, big = {"type": "track", "userId": "u"}, {"type": "track", "userId": "u", "x": "y" * 200}
    assert not parse(batch(*[small] * 20), limits=limits).refused
    parsed = parse(batch(small, big, small), limits=limits)
    assert parsed.refused[1][0] == "event_too_large"
    assert list(parsed.refused) == [1]
    assert parse(json.dumps(big).encode(), "track", limits=limits).refused[0][0] == "event_too_large"


@pytest.mark.parametrize("element", [b"{}", b"1", b'{"type":"track","userId":"u"}', b"[1,2]", b'"a,b"'])
def test_a_request_carries_so_many_events_and_no_more(element):
    body = b'{"sentAt":"x","batch":[' + b",".join([element] * 6) + b"]}"
    with pytest.raises(Refused, match="5 events"):
        parse(body, limits=Limits(events=5))
    parse(body, limits=Limits(events=6))


# -- parse and split agree --------------------------------------------------------------------------

IDS = st.one_of(
    st.none(), st.text(max_size=3), st.integers(), st.floats(), st.booleans(), st.just({}), st.just("\ud800")
)
EVENTS = st.one_of(
    st.fixed_dictionaries({}, optional={
        "type": st.sampled_from(["track", "Track", "alias", "group", "record", "", None, 3]),
        "anonymousId": IDS, "userId": IDS, "messageId": IDS, "groupId": IDS, "previousId": IDS,
        "properties": st.dictionaries(st.text(max_size=2), IDS, max_size=2),
    }),
    IDS,
)


@settings(max_examples=300, deadline=None)
@given(st.lists(EVENTS, min_size=1, max_size=6), st.booleans(), st.sampled_from([None, 1]), st.booleans())
def test_split_gives_the_events_of_parse_in_their_order(events, ascii_only, indent, trusted):
    text = json.dumps({"batch": events, "sentAt": "2026"}, ensure_ascii=ascii_only, indent=indent)
    body = text.encode("utf-8", "surrogatepass")
    try:
        parsed = parse(body, trusted=trusted)
    except Refused:
        with pytest.raises(UnicodeDecodeError):  # encoded surrogates are the one thing refused as a whole
            body.decode()
        return
    units = RUDDER.split(envelope(parsed), body)
    assert len(units) == len(parsed.keys) == len(events)
    for index, (event, unit) in enumerate(zip(events, units, strict=True)):
        assert bool(parsed.keys[index]) != (index in parsed.refused)
        if unit.length:
            assert body[unit.offset : unit.offset + unit.length] == unit.raw
        assert bool(unit.length) != parsed.slow
        if index in parsed.refused:
            continue
        decoded = codec.loads(unit.raw)
        ids = [decoded.get(n) for n in ("anonymousId", "userId", "messageId", "previousId", "groupId")]
        assert parsed.keys[index] in [str(i) for i in ids if i is not None]
        assert set(decoded) == set(event)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), st.sampled_from(["", "track"]), st.booleans())
def test_any_bytes_are_parsed_or_refused(data, kind, wrapped):
    body = b'{"batch":[{"type":"track","userId":"u","x":%b}]}' % data if wrapped else data
    try:
        parsed = parse(body, kind)
    except Refused:
        return
    assert len(RUDDER.split(envelope(parsed, kind), body)) == len(parsed.keys)


def test_a_body_that_was_not_read_is_one_unit():
    (unit,) = RUDDER.split(Envelope("s", "rudder", "", 1, "", unread=True), b"\xff{")
    assert (unit.raw, unit.offset, unit.length) == (b"\xff{", 0, 2)


# -- envelopes and marks ----------------------------------------------------------------------------


def test_envelopes_come_back():
    sent = Envelope("s", "rudder", "track", 1, "::1", "t", True, {3: ("c", "m")}, True, "a", True)
    assert record.decode(record.encode(sent)) == sent
    with pytest.raises(FormatError):
        record.decode(b"\xc1")


def test_older_and_newer_envelopes_are_read():
    import msgspec

    fields = msgspec.msgpack.decode(record.encode(Envelope("s", "rudder", "track", 1, "::1")))
    for changed in (fields[:5], [*fields, "a later field"]):
        assert record.decode(msgspec.msgpack.encode(changed)).ip == "::1"


@given(st.lists(st.tuples(st.text(max_size=4), st.booleans()), max_size=20))
def test_marks_hold_flags_and_hashes(events):
    keys = ["" if refused else key for key, refused in events]
    packed = record.marks(keys, {i for i, (_, refused) in enumerate(events) if refused})
    assert len(packed) == MARK * len(events)
    assert record.read_marks(packed) == [
        (REFUSED, 0) if refused else (0, record.key_hash(key)) for key, refused in events
    ]


def test_the_hash_of_a_key_never_changes():
    # It is in logs that are read again: XXH3 64 of the UTF-8 text.
    # The hash of nothing is the reference implementation's own test value.
    assert record.key_hash("") == 0x2D06800538D394C2
    assert record.key_hash("anonymous-1") == 0x0010B2C141D06A00
    assert record.marks(["anonymous-1"]) == b"\0" + (0x0010B2C141D06A00).to_bytes(8, "little")
