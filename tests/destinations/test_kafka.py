"""The kafka destination: topics and keys, and librdkafka's mock cluster (real sockets) behind its client."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import confluent_kafka
import fastavro
import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from destinations import registry
from destinations.kafka import Kafka
from destinations.kafka.client import Client, options
from destinations.kafka.settings import KafkaSettings
from turnout import Context, Event, Record
from turnout.errors import Fixable
from turnout.testing.fake_clock import START

TLS = Path(__file__).parent / "tls"
ROOM = {
    "type": "record", "name": "booking", "fields": [
        {"name": "messageId", "type": "string"}, {"name": "nights", "type": ["null", "int"], "default": None},
    ],
}  # fmt: skip
MAPS = {
    "enable_multi_topic": True,
    "event_type_to_topic_map": [{"from": "Page", "to": "pages"}, {"from": "track", "to": "actions"}],
    "event_to_topic_map": [{"from": "Room Booked", "to": "bookings"}],
}


def chosen(message: dict, opts: dict | None = None, *, trusted: bool = False, **settings):
    adapter = Kafka(KafkaSettings(host_name="k", topic="usual", **settings))
    event = Event(json.dumps(message).encode(), options=opts, trusted=trusted)
    return adapter.verdict(event, Context(START, adapter.delivery))


def rows(topic: str, *bodies: str, key: bytes | None = b"u", schema: str = "") -> list[Record]:
    return [Record(topic, key, body.encode(), schema) for body in bodies]


def outcomes(verdicts) -> list[str]:
    return [str(one.outcome) for one in verdicts]


@pytest.fixture(scope="module")
def brokers():
    producer = Producer({"bootstrap.servers": "none", "test.mock.num.brokers": 2, "log_level": 0})
    yield ",".join(f"{one.host}:{one.port}" for one in producer.list_topics(timeout=30).brokers.values())
    producer.purge()


@asynccontextmanager
async def client(brokers: str, topic: str = "usual", timeout: float = 15.0, **settings):
    delivery = replace(Kafka.delivery, timeout=timedelta(seconds=timeout))
    made = Client(KafkaSettings(host_name=brokers, topic=topic, **settings), Path(), delivery)
    try:
        yield made
    finally:
        await made.close()


def read(brokers: str, topic: str, count: int) -> list[tuple[bytes | None, bytes, int]]:
    """`count` messages of a topic: key, value, partition."""
    reader = Consumer({"bootstrap.servers": brokers, "group.id": "g", "log_level": 0})
    partitions = reader.list_topics(topic, timeout=30).topics[topic].partitions
    reader.assign([TopicPartition(topic, number, 0) for number in partitions])
    found = []
    while len(found) < count:
        message = reader.poll(30)
        assert message is not None, f"{len(found)} of {count} messages"
        assert message.error() is None
        found.append((message.key(), message.value(), message.partition()))
    reader.close()
    return found


# ---- topics


@pytest.mark.parametrize(
    ("message", "topic"),
    [
        ({"type": "track", "event": "Room Booked"}, "bookings"),
        ({"type": "track", "event": "Room Left"}, "actions"),
        ({"type": "page", "event": "Room Booked"}, "pages"),
        ({"type": "identify"}, "usual"),
        ({"type": "track", "event": ["Room Booked"]}, "actions"),
    ],
)
def test_names_come_before_types_before_the_usual_topic(message, topic) -> None:
    assert chosen(message, **MAPS).target == topic
    assert chosen(message, **{**MAPS, "enable_multi_topic": False}).target == "usual"


def test_a_public_key_chooses_among_the_topics_of_the_config() -> None:
    message = {"type": "track", "event": "Room Left"}
    assert chosen(message, {"topic": "salaries"}).target == "usual"
    assert chosen(message, {"topic": "bookings"}, **MAPS).target == "bookings"
    assert chosen(message, {"topic": "salaries"}, trusted=True).target == "salaries"
    assert str(chosen(message, {"topic": "no topic"}, trusted=True).outcome) == "dead"


@given(st.one_of(st.text(), st.integers(), st.booleans(), st.none(), st.lists(st.text())))
def test_a_key_is_the_user_as_text_or_none(user) -> None:
    adapter = Kafka(KafkaSettings(host_name="k", topic="usual"))
    made = adapter.verdict(Event(message={"type": "track", "userId": user}), Context(START, adapter.delivery))
    assert made.key is None or made.key.decode()
    assert (made.key is None) == (not user or isinstance(user, list))


# ---- a cluster


async def test_messages_arrive_in_order_with_their_keys(brokers) -> None:
    bodies = [json.dumps({"n": n}) for n in range(200)]
    async with client(brokers) as one:
        assert outcomes(await one.write(rows("order", *bodies))) == ["delivered"] * 200
    found = read(brokers, "order", 200)
    assert [value.decode() for _, value, _ in found] == bodies
    assert {key for key, _, _ in found} == {b"u"}
    assert len({partition for *_, partition in found}) == 1, "one user is in one partition"


async def test_a_message_that_is_too_large_is_dead_and_hurts_no_other(brokers) -> None:
    async with client(brokers) as one:
        found = await one.write(rows("large", "{}", json.dumps({"x": "y" * 2_000_000}), "{}"))
    assert outcomes(found) == ["delivered", "dead", "delivered"]
    assert "MSG_SIZE_TOO_LARGE" in found[1].reason


async def test_no_broker_is_tried_again_once_time_is_up() -> None:
    async with client("127.0.0.1:1", timeout=2.0) as one:
        found = await one.write(rows("t", "{}", "{}"))
    assert outcomes(found) == ["retry", "retry"]
    assert "(_TRANSPORT)" in found[0].reason or "(_ALL_BROKERS_DOWN)" in found[0].reason


async def test_avro_by_the_schema_of_the_event(brokers) -> None:
    schemas = [{"schemaId": "7", "schema": json.dumps(ROOM)}, {"schemaId": "8", "schema": '"string"'}]
    settings = {"convert_to_avro": True, "avro_schemas": schemas, "embed_avro_schema_id": True}
    records = [
        *rows("avro", '{"messageId":"m-1","nights":3,"more":1}', schema="7"),
        *rows("avro", '{"nights":3}', '{"messageId":"m"}', schema="7"),
        *rows("avro", '{"messageId":"m"}', schema="9"), *rows("avro", '{"messageId":"m"}'),
    ]
    async with client(brokers, **settings) as one:
        found = await one.write(records)
    assert outcomes(found) == ["delivered", "dead", "delivered", "dead", "dead"]
    values = [value for _, value, _ in read(brokers, "avro", 2)]
    assert {value[:5] for value in values} == {b"\0\0\0\0\x07"}
    first = fastavro.schemaless_reader(BytesIO(values[0][5:]), fastavro.parse_schema(ROOM), None)
    assert first == {"messageId": "m-1", "nights": 3}


async def test_the_only_schema_needs_no_name(brokers) -> None:
    async with client(brokers, convert_to_avro=True, avro_schemas={"a": json.dumps(ROOM)}) as one:
        assert outcomes(await one.write(rows("plain", '{"messageId":"m"}'))) == ["delivered"]
    assert read(brokers, "plain", 1)[0][1] == b"\x02m\x00"


# ---- what errors mean


@pytest.mark.parametrize(
    ("code", "topic", "outcome"),
    [
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, "usual", "pause"),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, "of-an-event", "dead"),
        (KafkaError._UNKNOWN_TOPIC, "usual", "pause"),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, "of-an-event", "dead"),
        (KafkaError.SASL_AUTHENTICATION_FAILED, "usual", "pause"),
        (KafkaError.CLUSTER_AUTHORIZATION_FAILED, "usual", "pause"),
        (KafkaError.RECORD_LIST_TOO_LARGE, "usual", "dead"),
        (KafkaError.INVALID_RECORD, "usual", "dead"),
        (KafkaError.NOT_ENOUGH_REPLICAS, "usual", "retry"),
        (KafkaError._MSG_TIMED_OUT, "usual", "retry"),
    ],
)
def test_what_a_report_means(code, topic, outcome) -> None:
    one = Client(KafkaSettings(host_name="k", topic="usual"), Path(), Kafka.delivery)
    assert str(one._judge(KafkaError(code), topic).outcome) == outcome


def test_messages_that_time_out_since_a_login_fails_pause() -> None:
    one = Client(KafkaSettings(host_name="k", topic="usual"), Path(), Kafka.delivery)
    one._failed(KafkaError(KafkaError._AUTHENTICATION))
    found = one._judge(KafkaError(KafkaError._MSG_TIMED_OUT), "usual")
    assert (str(found.outcome), "_AUTHENTICATION" in found.reason) == ("pause", True)


# ---- settings


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, {"security.protocol": "plaintext"}),
        ({"sslEnabled": True}, {"security.protocol": "ssl"}),
        (
            {"sslEnabled": True, "useSASL": True, "saslType": "sha512", "username": "u", "password": "p"},
            {"security.protocol": "sasl_ssl", "sasl.mechanism": "SCRAM-SHA-512", "sasl.password": "p"},
        ),
        ({"useSASL": True, "username": "u", "password": "p"}, {"sasl.mechanism": "PLAIN"}),
        ({"librdkafka": {"linger.ms": "100"}}, {"linger.ms": "100", "acks": "all", "enable.idempotence": True}),
    ],
)
def test_options_that_librdkafka_takes(settings, expected) -> None:
    made = options(KafkaSettings(host_name="a,b:1,[::1]", port=9093, topic="t", **settings), 15.0)
    assert made["bootstrap.servers"] == "a:9093,b:1,[::1]:9093"
    assert expected.items() <= made.items()
    Producer({**made, "bootstrap.servers": "127.0.0.1:1", "log_level": 0})


def test_certificates() -> None:
    certificate, key = ((TLS / f"localhost.{name}.pem").read_text() for name in ("certificate", "key"))
    own = {"client_certificate": certificate.replace("\n", "\\n"), "client_key": key}
    settings = KafkaSettings(host_name="127.0.0.1:1", topic="t", ssl_enabled=True, ca_certificate=certificate, **own)
    made = options(settings, 7.5)
    Producer({**made, "log_level": 0})


async def test_a_certificate_that_is_none_pauses_with_a_sentence() -> None:
    async with client("127.0.0.1:1", ssl_enabled=True, ca_certificate="nothing") as one:
        (found,) = await one.write(rows("t", "{}"))
    assert str(found.outcome) == "pause"
    assert "ssl.ca.pem" in found.reason


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"use_ssh": True}, "tunnel"),
        ({"use_sasl": True, "username": "u"}, "password"),
        ({"convert_to_avro": True}, "avro_schemas"),
        ({"embed_avro_schema_id": True, "avro_schemas": {"a": "{}"}}, "numbers"),
        ({"librdkafka": {"acks": "0"}}, "acks"),
        ({"librdkafka": {"ssl.key.password": "p"}}, "ssl.key.password"),
        ({"event_to_topic_map": {"Room Booked": "no topic"}}, "249"),
        ({"host_name": "http://k"}, "hosts"),
    ],
)
def test_settings_that_are_refused(settings, said) -> None:
    with pytest.raises(ValueError, match=said):
        KafkaSettings(**{"host_name": "k", "topic": "t", **settings})


def test_a_schema_that_is_none_is_said_before_anything_is_sent(tmp_path) -> None:
    settings = KafkaSettings(host_name="k", topic="t", convert_to_avro=True, avro_schemas={"a": '{"type": "boat"}'})
    with pytest.raises(Fixable, match="a is no Avro schema"):
        registry.client("kafka", settings, base=tmp_path, delivery=Kafka.delivery)


def test_the_library_is_new_enough() -> None:
    assert confluent_kafka.libversion()[1] >= 0x02000000, "the mock cluster takes idempotent producers"
