"""Settings of the Segment destination."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from turnout import SecretUrl, Settings
from turnout.settings import BROWSER

__all__ = ["SegmentSettings"]


Regulation = Literal["DELETE_ONLY", "DELETE_INTERNAL", "SUPPRESS_WITH_DELETE", "SUPPRESS_WITH_DELETE_INTERNAL"]


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _key(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().isprintable():
        raise ValueError("it holds what no header can (a line break at its end?)")
    return value


class SegmentSettings(Settings):
    """Which source of Segment gets the events, and where it is."""

    ignored: ClassVar = BROWSER

    write_key: Annotated[SecretStr, AfterValidator(_key)] = Field(
        min_length=1, description="Write key of an HTTP API source at Segment.", examples=["${SEGMENT_WRITE_KEY}"]
    )
    region: Annotated[Literal["us", "eu"], BeforeValidator(_lower)] = Field(
        "us", description="Where the workspace's data is kept: `us` (Oregon) or `eu` (Dublin).", examples=["eu"]
    )
    public_api_token: SecretStr | None = Field(
        None, description="Token of the Public API; only the deletion of users needs it.",
        examples=["${SEGMENT_API_TOKEN}"],
    )
    regulation_type: Regulation = Field(
        "DELETE_ONLY",
        description="To forget a user: delete, or also suppress what comes later; `…_INTERNAL` at Segment alone.",
        examples=["SUPPRESS_WITH_DELETE"],
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
