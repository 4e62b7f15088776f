"""Kafka: every event as a message of a topic."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from destinations.kafka.settings import TOPIC, KafkaSettings
from turnout import Context, Delivery, Destination, Event, Record, Verdict, dead
from turnout.values import text

__all__ = ["Kafka"]


class Kafka(Destination[KafkaSettings]):
    """One message per event, its user as key; `client.py` sends them and reads the delivery reports.

    A record's `schema` is the id of the Avro schema that the client packs the event by.
    """

    slug: ClassVar = "kafka"
    names: ClassVar = ("Kafka", "KAFKA")
    delivery = Delivery(
        batch=1_000, batch_bytes=4_000_000, linger=timedelta(milliseconds=50), concurrency=4,
        timeout=timedelta(seconds=15),
    )
    options: ClassVar = frozenset({"topic", "schemaId"})
    settings_type: ClassVar = KafkaSettings
    records: ClassVar = True

    def __init__(self, settings: KafkaSettings) -> None:
        super().__init__(settings)
        several = settings.enable_multi_topic
        self._kinds = settings.event_type_to_topic_map if several else {}
        self._events = settings.event_to_topic_map if several else {}
        self._topics = settings.topics_in_config()

    def request(self, event: Event, at: Context) -> Record | Verdict:
        """The event as it is, for the topic of its integrations object, name or type, else the usual one."""
        message = event.message
        options = event.options
        wanted = options.get("topic") if options else None
        if isinstance(wanted, str) and wanted and (event.trusted or wanted in self._topics):
            topic = wanted
        else:
            name = message.get("event")
            named = self._events.get(name) if event.kind == "track" and isinstance(name, str) else None
            topic = named or self._kinds.get(event.kind) or self.settings.topic
        if TOPIC.fullmatch(topic) is None:
            return dead("its integrations object names a topic that is none")
        user = message.get("userId") or message.get("anonymousId")
        key = None if user is None or isinstance(user, dict | list) else text(user)
        schema = text(options.get("schemaId")) if options else None
        return Record(topic, None if key is None else key.encode("utf-8", "replace"), event.raw, schema or "")
