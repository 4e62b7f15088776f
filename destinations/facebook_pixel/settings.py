"""Settings of the Facebook Pixel destination."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from vendors.meta.settings import ConversionsSettings

__all__ = ["FacebookPixelSettings"]


class FacebookPixelSettings(ConversionsSettings):
    """Which pixel, and what is done as its script in the browser does it."""

    pixel_id: str = Field(pattern=r"^[\w.-]+$", description="Id of the pixel.", examples=["483920175"])
    advanced_mapping: bool = Field(
        False, description="Send identify events, so that Meta knows the person.", examples=[True]
    )
    value_field_identifier: Literal["properties.price", "properties.value"] = Field(
        "properties.price",
        description="What a product that is viewed or added is worth.",
        examples=["properties.value"],
    )
    standard_page_call: bool = Field(
        False, description="Call every page and screen `PageView`, not by its name.", examples=[True]
    )
