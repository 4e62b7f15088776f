"""Settings of the ntfy destination."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from turnout import Settings
from turnout.templates import Template

__all__ = ["NtfySettings"]


def _template(text: str) -> str:
    """A text that is no template is an error of the settings, not of each event."""
    Template(text)
    return text


def _topic(topic: SecretStr) -> SecretStr:
    """https://docs.ntfy.sh/publish/: letters, digits, _ and -, at most 64."""
    text = topic.get_secret_value()
    if not (0 < len(text) <= 64 and text.isascii() and text.replace("-", "_").replace("_", "a").isalnum()):
        raise ValueError("a topic is 1 to 64 letters, digits, _ or -")
    return topic


class NtfySettings(Settings):
    """Which topic gets which events, and what is said."""

    topic: Annotated[SecretStr, AfterValidator(_topic)] = Field(
        description="Topic that people subscribe to. Who knows it can read it, so it is a secret.",
        examples=["${NTFY_TOPIC}"],
    )
    server: str = Field(
        "https://ntfy.sh",
        pattern=r"^https?://[^\s/?#]+[^\s?#]*$",
        description="Address of the server, your own or ntfy.sh.",
        examples=["https://ntfy.example.com"],
    )
    token: SecretStr | None = Field(
        None, description="Access token, for topics that are not open to all.", examples=["${NTFY_TOKEN}"]
    )
    events: tuple[str, ...] = Field(
        (), description="Names of the events that are told; all where none is named.", examples=[["Order Completed"]]
    )
    title: Annotated[str, AfterValidator(_template)] = Field(
        "{{event}}", description="Title, a template over the event.", examples=["{{event}} at {{properties.hotel}}"]
    )
    message: Annotated[str, AfterValidator(_template)] = Field(
        "{{properties}}",
        description="What is said, a template over the event; `traits` are the person's.",
        examples=["{{traits.name}} booked {{properties.nights}} nights"],
    )
    priority: int | None = Field(None, ge=1, le=5, description="From 1 (quiet) to 5 (urgent).", examples=[4])
    tags: tuple[str, ...] = Field(
        (), description="Tags; those with the name of an emoji are shown as one.", examples=[["bell"]]
    )
