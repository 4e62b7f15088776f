"""Produces messages: a verdict is the broker's delivery report of its own message."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from destinations.kafka.avro import Packer
from destinations.kafka.settings import KafkaSettings
from turnout import Delivery, Record, Verdict, dead, delivered, pause, retry
from turnout.errors import Refused
from turnout.extras import need

__all__ = ["Client", "options"]

SLACK = 15.0
"""Seconds that a report may be later than `delivery.timeout`, after which librdkafka gives a message up: it looks for
what is late once a second."""
CLOSE = 5.0
"""Seconds that closing waits for messages in flight."""

_DEAD = frozenset({"MSG_SIZE_TOO_LARGE", "INVALID_MSG_SIZE", "INVALID_RECORD", "RECORD_LIST_TOO_LARGE"})
_REFUSED = frozenset({
    "CLUSTER_AUTHORIZATION_FAILED", "SASL_AUTHENTICATION_FAILED", "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
    "UNSUPPORTED_SASL_MECHANISM", "_AUTHENTICATION",
})
_TOPIC = frozenset({"INVALID_TOPIC_EXCEPTION", "TOPIC_AUTHORIZATION_FAILED", "UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC"})
"""Names of errors. Source: https://docs.confluent.io/platform/current/clients/librdkafka/html/rdkafka_8h.html."""


class Client:
    """Makes its producer at the first write. `write` may be called several times at once."""

    def __init__(self, settings: KafkaSettings, base: Path, delivery: Delivery) -> None:
        need("destination kafka", "confluent_kafka", "kafka")
        self._timeout = delivery.timeout.total_seconds()
        self._options = options(settings, self._timeout)
        self.hosts = [one.rpartition(":")[0].strip("[]") for one in settings.brokers().split(",")]
        self._topics = settings.topics_in_config()
        self._packer = Packer(settings) if settings.convert_to_avro else None
        self._lock = threading.Lock()
        self._producer: Any = None
        self._fault = ""

    async def write(self, records: Sequence[Record]) -> Sequence[Verdict]:
        """Send in order and wait for all reports."""
        return await asyncio.to_thread(self._write, records)

    async def close(self) -> None:
        """Wait a little for what is in flight, and let go of the connections."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        with self._lock:
            producer, self._producer = self._producer, None
        if producer is not None:
            producer.flush(CLOSE)
            producer.purge()
            producer.flush(CLOSE)

    def _write(self, records: Sequence[Record]) -> list[Verdict]:
        from confluent_kafka import KafkaException

        try:
            producer = self._made()
        except KafkaException as error:
            return [pause(f"kafka: its settings cannot be used: {error.args[0].str()[:200]}")] * len(records)
        batch = _Batch(len(records))
        for place, record in enumerate(records):
            try:
                value = self._packer.pack(record) if self._packer else record.body
                self._produce(producer, record, value, partial(self._report, batch, place, record.target))
            except Refused as error:
                batch.settle(place, dead(f"kafka: {error.message}"))
            except KafkaException as error:
                batch.settle(place, self._judge(error.args[0], record.target))
        deadline = time.monotonic() + self._timeout + SLACK
        while batch.left and time.monotonic() < deadline:
            producer.poll(0.1)
        return [one or retry("kafka: no delivery report") for one in batch.found]

    def _produce(self, producer: Any, record: Record, value: bytes, report: Any) -> None:
        while True:
            try:
                producer.produce(record.target, value, record.key, on_delivery=report)
            except BufferError:
                producer.poll(0.1)  # its queue is full: reports make room
            else:
                producer.poll(0)
                return

    def _report(self, batch: _Batch, place: int, topic: str, error: Any, _: Any) -> None:
        if error is None:
            self._fault = ""
            batch.settle(place, delivered())
        else:
            batch.settle(place, self._judge(error, topic))

    def _judge(self, error: Any, topic: str) -> Verdict:
        """What an error says of a message; a topic that only its event names is the event's own affair."""
        name = error.name()
        if error.fatal():
            with self._lock:
                self._producer = None  # it sends nothing any more; the next write makes another one
        if name in _DEAD:
            return dead(f"kafka: {name}")
        if name in _TOPIC:
            said = f"kafka: the topic {topic} cannot be written ({name})"
            return pause(said) if topic in self._topics else dead(said)
        cause = self._fault or name
        if name in _REFUSED or cause in _REFUSED:
            return pause(f"kafka: the brokers refuse these credentials ({cause})")
        return retry(f"kafka: {name}" if cause == name else f"kafka: {name} ({cause})")

    def _failed(self, error: Any) -> None:
        """Faults of connections are told here, and of their messages only that they were given up."""
        if self._fault not in _REFUSED:
            self._fault = error.name()

    def _made(self) -> Any:
        from confluent_kafka import Producer

        with self._lock:
            if self._producer is None:
                self._fault = ""
                log = logging.getLogger("destinations.kafka")
                self._producer = Producer({**self._options, "error_cb": self._failed}, logger=log)
            return self._producer


class _Batch:
    """The verdicts of one call, settled by whichever thread reads the reports."""

    def __init__(self, count: int) -> None:
        self.found: list[Verdict | None] = [None] * count
        self.left = count
        self._lock = threading.Lock()

    def settle(self, place: int, verdict: Verdict) -> None:
        """The first verdict of a message stands."""
        with self._lock:
            if self.found[place] is None:
                self.found[place] = verdict
                self.left -= 1


def options(settings: KafkaSettings, timeout: float) -> dict[str, Any]:
    """Settings as librdkafka's options: all replicas in sync have a message once, before it is delivered, or
    given up after `timeout` seconds.

    Source: https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md.
    """
    made: dict[str, Any] = {
        "client.id": "turnout",
        "linger.ms": "5",
        "log_level": "2",  # a broker that is down is told in verdicts, not ten times a second
        # Keys go to the same partitions as those of Java's clients.
        "partitioner": "murmur2_random",
        **settings.librdkafka,
        "bootstrap.servers": settings.brokers(),
        "acks": "all",
        "enable.idempotence": True,
        "message.timeout.ms": max(1, round(timeout * 1000)),
        "compression.type": settings.compression,
        "security.protocol": ("sasl_" if settings.use_sasl else "") + ("ssl" if settings.ssl_enabled else "plaintext"),
    }
    if settings.use_sasl and settings.password is not None:
        mechanism = {"plain": "PLAIN", "sha256": "SCRAM-SHA-256", "sha512": "SCRAM-SHA-512"}[settings.sasl_type]
        made |= {"sasl.mechanism": mechanism, "sasl.username": settings.username}
        made["sasl.password"] = settings.password.get_secret_value()
    if settings.ssl_enabled:
        key = settings.client_key.get_secret_value() if settings.client_key else ""
        pems = {"ca": settings.ca_certificate, "certificate": settings.client_certificate, "key": key}
        # In JSON and in an environment variable the line breaks of a PEM file are often written as \n.
        made |= {f"ssl.{name}.pem": pem.replace("\\n", "\n") for name, pem in pems.items() if pem}
    return made
