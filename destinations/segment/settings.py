"""Settings of the Segment destination."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, SecretStr

from turnout import SecretUrl, Settings
from turnout.settings import BROWSER

__all__ = ["SegmentSettings"]


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


class SegmentSettings(Settings):
    """Which source of Segment gets the events, and where it is."""

    ignored: ClassVar = BROWSER

    write_key: SecretStr = Field(
        min_length=1, description="Write key of an HTTP API source at Segment.", examples=["${SEGMENT_WRITE_KEY}"]
    )
    region: Annotated[Literal["us", "eu"], BeforeValidator(_lower)] = Field(
        "us", description="Where the workspace's data is kept: `us` (Oregon) or `eu` (Dublin).", examples=["eu"]
    )
    endpoint: SecretUrl | None = Field(
        None,
        description="Address of the batch endpoint of a custom domain, in place of the region's.",
        examples=["https://in.example.com/v1/batch"],
    )
    rudderstack_fields: bool = Field(
        False,
        description="Send only what RudderStack sends: ids, event, traits and properties, the time as `timeStamp`.",
        examples=[True],
    )
