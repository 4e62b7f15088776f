"""Events as Avro, by the schemas of the settings."""

from __future__ import annotations

import json
import struct
from io import BytesIO
from typing import Any

from destinations.kafka.settings import KafkaSettings
from turnout import Record, codec
from turnout.errors import Fixable, Refused
from turnout.extras import need

__all__ = ["Packer"]


class Packer:
    """Packs a record's body by the schema that the record names, or by the only one there is.

    Raises `Fixable` for a schema that is none.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        need("convert_to_avro", "fastavro", "kafka")
        self._embeds = settings.embed_avro_schema_id
        self._schemas = {name: _parsed(name, text) for name, text in settings.avro_schemas.items()}
        self._only = next(iter(self._schemas)) if len(self._schemas) == 1 else ""

    def pack(self, record: Record) -> bytes:
        """The body as Avro's binary form; raises `Refused` where the event does not fit.

        With `embed_avro_schema_id` in the wire format of schema registries:
        https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format.
        """
        from fastavro import schemaless_writer

        name = record.schema or self._only
        schema = self._schemas.get(name)
        if schema is None:
            known = "names a schema that is not among avro_schemas" if name else "names none of several avro_schemas"
            raise Refused("avro", f"its integrations object {known}")
        out = BytesIO()
        if self._embeds:
            out.write(struct.pack(">bI", 0, int(name)))
        try:
            schemaless_writer(out, schema, codec.loads(record.body))
        except Exception as error:  # noqa: BLE001 -- the library raises what it stumbles over, the value in its text
            raise Refused("avro", f"the event does not fit the schema {name} ({type(error).__name__})") from None
        return out.getvalue()


def _parsed(name: str, text: str) -> Any:
    from fastavro import parse_schema
    from fastavro.schema import SchemaParseException, UnknownType

    try:
        return parse_schema(json.loads(text))
    except (SchemaParseException, UnknownType, ValueError, TypeError, KeyError, AttributeError) as error:
        raise Fixable(f"avro_schemas: {name} is no Avro schema ({type(error).__name__})") from error
