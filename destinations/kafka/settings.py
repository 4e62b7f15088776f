"""Settings of the kafka destination."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr, field_validator, model_validator

from turnout import Settings
from turnout.settings import BROWSER, Pairs

__all__ = ["TOPIC", "KafkaSettings"]

TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
"""Names of topics: https://kafka.apache.org/documentation/#brokerconfigs (org.apache.kafka.common.internals.Topic)."""
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^\s:/,\[\]]+)(?P<port>:\d{1,5})?")
_OURS = frozenset({
    "acks", "bootstrap.servers", "delivery.report.only.error", "enable.idempotence", "message.timeout.ms",
    "metadata.broker.list", "plugin.library.paths", "security.protocol",
})
"""Options of librdkafka on which the promise of delivery stands, or which load code."""


def _schemas(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        return value
    return {
        str(one.get("schemaId", "")): one.get("schema") for one in value
        if isinstance(one, Mapping) and one.get("schemaId") not in (None, "")
    }


class KafkaSettings(Settings):
    """Which cluster, how to be let in, which topics, and what messages look like."""

    ignored: ClassVar = BROWSER | {"sshHost", "sshPort", "sshUser", "sshPublicKey"}

    host_name: str = Field(
        description="Brokers to begin with: hosts with commas between, each with its own port or with `port`.",
        examples=["kafka-1.example.com,kafka-2.example.com"],
    )
    port: int = Field(9092, gt=0, lt=65536, description="Port of the brokers that have none.", examples=[9093])
    topic: str = Field(description="Topic of events for which nothing else names one.", examples=["events"])
    enable_multi_topic: bool = Field(
        False, description="Choose topics by `event_to_topic_map` and `event_type_to_topic_map`.", examples=[True],
    )
    event_type_to_topic_map: Pairs = Field(
        {}, description="Topics by type of event.", examples=[{"identify": "people"}],
    )
    event_to_topic_map: Pairs = Field(
        {}, description="Topics by name of a track event; they come before those by type.",
        examples=[{"Room Booked": "bookings"}],
    )
    ssl_enabled: bool = Field(False, description="Connect with TLS.", examples=[True])
    ca_certificate: str = Field(
        "", description="With TLS: certificates (PEM) to trust instead of the system's.",
        examples=["${KAFKA_CA_CERTIFICATE}"],
    )
    client_certificate: str = Field(
        "", description="With TLS: our own certificate (PEM), where brokers want one.",
        examples=["${KAFKA_CERTIFICATE}"],
    )
    client_key: SecretStr | None = Field(
        None, description="With TLS: the private key (PEM) of `client_certificate`.", examples=["${KAFKA_KEY}"],
    )
    use_sasl: bool = Field(
        False, validation_alias=AliasChoices("useSASL", "useSasl"), description="Log in with SASL.", examples=[True],
    )
    sasl_type: Literal["plain", "sha256", "sha512"] = Field(
        "plain", description="How: `plain`, or SCRAM with `sha256` or `sha512`.", examples=["sha512"],
    )
    username: str = Field("", description="User of SASL.", examples=["turnout"])
    password: SecretStr | None = Field(None, description="Password of SASL.", examples=["${KAFKA_PASSWORD}"])
    convert_to_avro: bool = Field(
        False, description="Pack events as Avro by the schema that their integrations object names.", examples=[True],
    )
    avro_schemas: Annotated[dict[str, str], BeforeValidator(_schemas)] = Field(
        {}, description="Avro schemas as JSON, by id.",
        examples=[{"7": '{"type": "record", "name": "event", "fields": [{"name": "messageId", "type": "string"}]}'}],
    )
    embed_avro_schema_id: bool = Field(
        False, validation_alias=AliasChoices("embedAvroSchemaID", "embedAvroSchemaId"),
        description="Begin each message with a zero and the schema's id, as consumers of a schema registry want it.",
        examples=[True],
    )
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = Field(
        "lz4", description="How batches are packed on their way.", examples=["zstd"],
    )
    librdkafka: dict[str, str] = Field(
        {}, description="Further options of librdkafka's producer, by their names.",
        examples=[{"client.id": "turnout"}],
    )
    use_ssh: bool = Field(
        False, validation_alias=AliasChoices("useSSH", "useSsh"),
        description="RudderStack's tunnel through SSH; not supported, run `ssh -L` beside Turnout.", examples=[False],
    )

    @field_validator("host_name")
    @classmethod
    def _are_hosts(cls, value: str) -> str:
        if not all(_HOST.fullmatch(one.strip()) for one in value.split(",")):
            raise ValueError("must be hosts with commas between, without a scheme")
        return value

    @field_validator("topic", "event_to_topic_map", "event_type_to_topic_map")
    @classmethod
    def _are_topics(cls, value: str | dict[str, str]) -> str | dict[str, str]:
        if not all(TOPIC.fullmatch(one) for one in ([value] if isinstance(value, str) else value.values())):
            raise ValueError("a topic's name is up to 249 letters, digits, points, _ and -")
        return value

    @field_validator("event_type_to_topic_map")
    @classmethod
    def _are_kinds(cls, value: dict[str, str]) -> dict[str, str]:
        return {kind.lower(): topic for kind, topic in value.items()}

    @field_validator("librdkafka")
    @classmethod
    def _are_options(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if name in _OURS or name.startswith(("sasl.", "ssl.")):
                raise ValueError(f"{name} is set by Turnout or by a setting of its own")
        return value

    @model_validator(mode="after")
    def _fits(self) -> KafkaSettings:
        if self.use_ssh:
            raise ValueError("use_ssh is not supported: run a tunnel beside Turnout and name its end in host_name")
        if self.use_sasl and not (self.username and self.password):
            raise ValueError("use_sasl needs username and password")
        if self.convert_to_avro and not self.avro_schemas:
            raise ValueError("convert_to_avro needs avro_schemas")
        if self.embed_avro_schema_id and not all(one.isdigit() and int(one) < 2**32 for one in self.avro_schemas):
            raise ValueError("embed_avro_schema_id needs schemas whose ids are numbers")
        return self

    def brokers(self) -> str:
        """`host:port` of each broker, with commas between."""
        hosts = [_HOST.fullmatch(one.strip()) for one in self.host_name.split(",")]
        return ",".join(one[0] if one["port"] else f"{one[0]}:{self.port}" for one in hosts if one is not None)

    def topics_in_config(self) -> frozenset[str]:
        """Every topic that the settings name."""
        found = {self.topic}
        if self.enable_multi_topic:
            found |= {*self.event_to_topic_map.values(), *self.event_type_to_topic_map.values()}
        return frozenset(found)
