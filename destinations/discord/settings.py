"""Settings of the Discord destination."""

from __future__ import annotations

from typing import Annotated

from pydantic import AliasChoices, Field

from destinations.messages import EventMatch, MessageSettings, Readable, Rows, TemplateText
from turnout import HookUrl

__all__ = ["DiscordSettings"]


class EventChannel(EventMatch):
    """Where some events go."""

    webhook_url: HookUrl = Field(
        validation_alias=AliasChoices("webhook_url", "eventChannelWebhook", "webhook"),
        description="Address of the channel's own webhook.", examples=["${DISCORD_BOOKINGS_URL}"],
    )


class DiscordSettings(MessageSettings):
    """Where messages go, what they say, and whom they may call."""

    channels: Annotated[tuple[EventChannel, ...], Rows, Readable] = Field(
        (), validation_alias=AliasChoices("channels", "eventChannelSettings", "event_channel_settings"),
        description="Channels by event, `{event, regex, webhook_url}`; the first that fits counts.",
        examples=[[{"event": "Room Booked", "webhook_url": "${DISCORD_BOOKINGS_URL}"}]],
    )
    embed_flag: bool = Field(
        False, description="Send a card with a title and a description in place of a plain message.", examples=[True]
    )
    embed_title_template: TemplateText = Field(
        "", description="Title of the card.", examples=["{{event}}"]
    )
    embed_description_template: TemplateText = Field(
        "", description="Text of the card; the event's message where it is empty.", examples=["{{properties}}"]
    )
    mentions: bool = Field(
        False, description="Let what an event says call people (`@everyone`, `<@id>`).", examples=[True]
    )
    username: str | None = Field(
        None, max_length=80, description="Name that the messages stand under.", examples=["Reception"]
    )
    avatar_url: str | None = Field(
        None, description="Picture beside the name.", examples=["https://example.com/bell.png"]
    )
