"""What the server adds, and that it wins over what the client sent."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane.pipeline import head as heads
from dataplane.pipeline.enrich import Stamp, enrich, generated_id, rudder_id
from dataplane.pipeline.numbered import restored
from dataplane.pipeline.transform import metadata
from turnout import clock, codec
from turnout.protocol import Envelope

NOON = datetime(2026, 3, 4, 12, 0, 10, tzinfo=UTC)


def stamp(**more: Any) -> Stamp:
    values = {"received": NOON, "received_text": clock.iso(NOON), "ip": "198.51.100.7", "sent_at": "",
              "kind": "", "trusted": False, **more}  # fmt: skip
    return Stamp(**values)


def enriched(event: dict[str, Any], message_id: str = "m1", **more: Any) -> dict[str, Any]:
    raw = json.dumps(event).encode()
    return dict(json.loads(enrich(raw, heads.read(raw), stamp(**more), message_id)))


def test_timestamp_by_the_skew_of_the_clients_own_clock() -> None:
    made = enriched({"sentAt": "2001-01-01T00:00:05Z", "originalTimestamp": "2001-01-01T00:00:00Z"})
    assert made["timestamp"] == "2026-03-04T12:00:05.000Z"
    assert made["originalTimestamp"] == "2001-01-01T00:00:00Z"


def test_sent_at_of_the_batch_serves_events_without_one() -> None:
    made = enriched({"originalTimestamp": "2001-01-01T00:00:00Z"}, sent_at="2001-01-01T00:00:03Z")
    assert made["timestamp"] == "2026-03-04T12:00:07.000Z"
    assert made["sentAt"] == "2001-01-01T00:00:03.000Z"


def test_a_valid_timestamp_is_kept_and_a_bad_one_is_not() -> None:
    assert enriched({"timestamp": "2020-02-02T02:02:02.5+01:00"})["timestamp"] == "2020-02-02T01:02:02.500Z"
    assert enriched({"timestamp": "yesterday"})["timestamp"] == clock.iso(NOON)
    assert enriched({"timestamp": 5})["timestamp"] == clock.iso(NOON)


def test_the_servers_time_and_address_win_unless_the_source_is_trusted() -> None:
    sent = {"receivedAt": "2020-01-01T00:00:00Z", "request_ip": "10.0.0.1"}
    made = enriched(sent)
    assert (made["receivedAt"], made["request_ip"]) == (clock.iso(NOON), "198.51.100.7")
    made = enriched(sent, trusted=True)
    assert (made["receivedAt"], made["request_ip"]) == ("2020-01-01T00:00:00.000Z", "10.0.0.1")


def test_type_of_the_path_wins_and_is_lower_case() -> None:
    assert enriched({"type": "Track"})["type"] == "track"
    assert enriched({"type": "page"}, kind="track")["type"] == "track"
    assert enriched({}, kind="identify")["type"] == "identify"


def test_ids() -> None:
    assert enriched({"messageId": 7}, "7")["messageId"] == "7"
    assert enriched({}, "made-up")["messageId"] == "made-up"
    assert enriched({"userId": "u", "anonymousId": "a"})["rudderId"] == rudder_id("u", "a")
    assert generated_id(b"k", 5) == generated_id(b"k", 5) != generated_id(b"k", 6)


numbers = st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
anything = st.recursive(
    st.none() | st.booleans() | numbers | st.text(),
    lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(), x, max_size=3),
    max_leaves=8,
)
NAMES = ["type", "messageId", "userId", "anonymousId", "timestamp", "sentAt", "originalTimestamp",
         "receivedAt", "request_ip", "integrations", "event", "properties"]  # fmt: skip


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), anything), st.booleans())
def test_any_object_stays_an_object_and_keeps_its_other_fields(event: dict[str, Any], trusted: bool) -> None:
    raw = codec.dumps(event)
    made = codec.loads(enrich(raw, heads.read(raw), stamp(trusted=trusted), "m1"))
    assert made["messageId"] == "m1"
    for name in ("integrations", "event", "properties", "userId", "anonymousId"):
        assert made.get(name) == codec.loads(raw).get(name)
    assert clock.parse(made["timestamp"])
    assert clock.parse(made["receivedAt"])


def test_the_anonymous_id_of_a_header_is_given_to_events_with_neither_id() -> None:
    made = enriched({"anonymousId": None}, anonymous_id="from-header")
    assert made["anonymousId"] == "from-header"
    assert made["rudderId"] == rudder_id("", "from-header")
    assert "anonymousId" not in enriched({"userId": "u1"}, anonymous_id="from-header")


TEXTS = st.text(max_size=8) | st.sampled_from(['"quoted"', "back\\slash", "\x00\n", "ünïcode \u2028"])


@settings(deadline=None)
@given(
    message_id=TEXTS, source=TEXTS, kind=TEXTS, name=st.none() | TEXTS,
    more=st.dictionaries(TEXTS, TEXTS, max_size=2),
)  # fmt: skip
def test_what_a_script_is_told_is_json_of_what_is_known(
    message_id: str, source: str, kind: str, name: str | None, more: dict[str, str]
) -> None:
    envelope = Envelope(source=source, protocol="rudder", kind=kind, received_at=1, ip="", refused={})
    body = json.dumps({"messageId": message_id, "event": name}).encode()
    event = restored(7, 1, body, msgspec.msgpack.encode(envelope), b"k")
    known = {"messageId": event.message_id, "sourceId": source, "receivedAt": "1970-01-01T00:00:00.001Z",
             "eventType": event.kind}  # fmt: skip
    if name:
        known["eventName"] = name
    assert codec.loads(metadata(event, more)) == {**known, **more}
