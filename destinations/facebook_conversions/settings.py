"""Settings of the Facebook Conversions destination."""

from __future__ import annotations

from pydantic import Field

from vendors.meta.settings import ActionSource, ConversionsSettings

__all__ = ["FacebookConversionsSettings"]


class FacebookConversionsSettings(ConversionsSettings):
    """Which data set, and where its events happen."""

    dataset_id: str = Field(
        pattern=r"^[\w.-]+$", description="Id of the data set; that of its pixel, where one is linked.",
        examples=["483920175"],
    )
    action_source: ActionSource = Field(
        "website", description="Where events happened that do not say so themselves.", examples=["physical_store"]
    )
