"""Redis: the traits of each user in a hash or a JSON document of their own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar

from destinations.redis.settings import RedisSettings
from turnout import Context, Delivery, Destination, Event, Kind, Record, Verdict, codec, dead, filtered
from turnout.fields import getter
from turnout.values import flat, text

__all__ = ["Redis"]

_SOURCES = getter("context.sources")
_CONTEXT_TRAITS = getter("context.traits")


class Redis(Destination[RedisSettings]):
    """One write per identify; `client.py` sends them in pipelines.

    A record's `target` is the key in Redis. Its body is an object of texts, which are fields of a hash, or
    with `use_json_module` any JSON, which is the document, or the member of it that the record's `key` names.
    """

    slug: ClassVar = "redis"
    names: ClassVar = ("Redis", "REDIS")
    kinds: ClassVar = frozenset({Kind.IDENTIFY})
    delivery = Delivery(
        batch=200, batch_bytes=1_000_000, linger=timedelta(milliseconds=50), concurrency=4,
        timeout=timedelta(seconds=15),
    )
    settings_type: ClassVar = RedisSettings
    records: ClassVar = True

    def __init__(self, settings: RedisSettings) -> None:
        super().__init__(settings)
        prefix = settings.prefix.strip()
        self._prefix = f"{prefix}:user:" if prefix else "user:"
        self._profiles = [part for part in (settings.workspace_id, settings.destination_id) if part]

    def request(self, event: Event, at: Context) -> Record | Verdict:
        """The traits under the user's key; a profile of RudderStack's under the key of its entity."""
        message = event.message
        user = _identifier(message.get("userId"))
        if not user:
            return dead("an identify without a userId has no key")
        if event.trusted and (profile := _profile(_SOURCES(message))):
            return self._profile(*profile, user, message.get("traits"))
        own, context = message.get("traits"), _CONTEXT_TRAITS(message)
        traits = {**_object(context), **_object(own)}
        if not self.settings.use_json_module:
            traits = _texts(traits)
        if not traits:
            return filtered("it has no traits to be stored")
        return Record(self._prefix + user, None, codec.dumps(traits))

    def _profile(self, entity: str, id_type: str, model: str, user: str, traits: Any) -> Record | Verdict:
        """What a model says of an entity: one field of the entity's hash, or one member of its document."""
        key = ":".join([*self._profiles, entity, id_type, user])
        if self.settings.use_json_module:
            if '"' in model or "\\" in model:
                return dead("a path to a member of a document cannot hold the quotes of this model's name")
            return Record(key, model.encode("utf-8", "replace"), codec.dumps(_object(traits)))
        return Record(key, None, codec.dumps({model: codec.dumps(_object(traits)).decode()}))


def _profile(sources: Any) -> tuple[str, str, str] | None:
    """Entity, type of id and model of a row that RudderStack's Profiles made; None for every other event."""
    if not isinstance(sources, Mapping):
        return None
    found = [_identifier(sources.get(f"profiles_{name}")) for name in ("entity", "id_type", "model")]
    return (found[0], found[1], found[2]) if all(found) else None


def _identifier(value: Any) -> str:
    """A text, or a number as one; "" for everything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return text(value) or ""


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _texts(traits: Mapping[str, Any]) -> dict[str, str]:
    """Nested objects with points in their names, lists as JSON; nothing for null and empty objects."""
    fields = flat(traits, lists=False)
    return {name: made for name, value in fields.items() if value != {} and (made := text(value)) is not None}
