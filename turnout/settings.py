"""The base of every destination's settings."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

__all__ = ["Settings"]


class Settings(BaseModel):
    """Frozen, strict settings; every field has a description and an example.

    A field `webhook_url` is also read from RudderStack's `webhookUrl`; a peer's spelling that
    camelCase does not give is an `AliasChoices`. Secrets are `SecretStr`.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        populate_by_name=True,
        alias_generator=to_camel,
        loc_by_alias=False,
        hide_input_in_errors=True,
    )
