"""Settings of the Slack destination."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AliasChoices, Field

from destinations.messages import EventMatch, MessageSettings, Readable, Rows
from turnout import HookUrl

__all__ = ["SlackSettings"]


class EventChannel(EventMatch):
    """Where some events go."""

    webhook_url: HookUrl | None = Field(
        None, validation_alias=AliasChoices("webhook_url", "eventChannelWebhook", "webhook"),
        description="Address of the channel's own incoming webhook.", examples=["${SLACK_BOOKINGS_URL}"],
    )
    channel: str | None = Field(
        None, validation_alias=AliasChoices("channel", "eventChannel"),
        description="`#channel` or `@person`; obeyed by legacy webhooks only.", examples=["#bookings"],
    )


class SlackSettings(MessageSettings):
    """Where messages go, what they say, and who says them."""

    channels: Annotated[tuple[EventChannel, ...], Rows, Readable] = Field(
        (), validation_alias=AliasChoices("channels", "eventChannelSettings", "event_channel_settings"),
        description="Channels by event, `{event, regex, webhook_url | channel}`; the first that fits counts.",
        examples=[[{"event": "Room Booked", "webhook_url": "${SLACK_BOOKINGS_URL}"}]],
    )
    incoming_webhooks_type: Literal["legacy", "modern"] | None = Field(
        None, description="Of `channels`, obey `webhook_url` only (`modern`) or `channel` only (`legacy`).",
        examples=["modern"],
    )
    username: str | None = Field(
        None, description="Name that the messages stand under; obeyed by legacy webhooks only.", examples=["Reception"]
    )
    icon_url: str | None = Field(
        None, description="Picture beside the name; obeyed by legacy webhooks only.",
        examples=["https://example.com/bell.png"],
    )
