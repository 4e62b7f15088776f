"""Settings of the Customer.io audience."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import AliasChoices, BeforeValidator, Field

from destinations.customerio.settings import BROWSER, Account

__all__ = ["AudienceSettings"]


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class AudienceSettings(Account):
    """The workspace, and the segment that is kept."""

    ignored: ClassVar = BROWSER | {"appApiKey", "identifierMappings", "schemaVersion"}

    segment_id: Annotated[str, BeforeValidator(_text)] = Field(
        validation_alias=AliasChoices("segment_id", "segmentId", "audienceId"),
        pattern=r"^[A-Za-z0-9_-]+$",
        description="ID of the manual segment (on its page, under Usage). It must be there already.",
        examples=["7"],
    )
