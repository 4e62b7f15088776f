"""Settings of the webhook destination."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr, model_validator

from turnout import SecretUrl, Settings, values
from turnout.settings import BROWSER

__all__ = ["RESERVED", "WebhookSettings", "has_user"]

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_BAD = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
RESERVED = frozenset({"host", "content-length", "transfer-encoding", "connection", "expect"})
"""Headers that belong to the connection; setting them could split one request into two."""


def _headers(value: Any) -> Any:
    """A mapping, or RudderStack's list of {from: name, to: value}; pairs without a name are left out.

    Numbers and booleans become text.
    """
    if isinstance(value, list):
        pairs = [(p.get("from"), p.get("to")) if isinstance(p, dict) else (None, None) for p in value]
        if any(name is None for name, _ in pairs):
            raise ValueError("must be a mapping of names to values, or a list of {from: name, to: value}")
        value = {name: text for name, text in pairs if name}
    if not isinstance(value, dict):
        return value
    value = {name: values.text(text) if isinstance(text, bool | int | float) else text for name, text in value.items()}
    for name, text in value.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError("a header name may hold letters, digits and - only")
        if name.lower() in RESERVED:
            raise ValueError(f"{name} is set by Turnout itself")
        raw = text.get_secret_value() if isinstance(text, SecretStr) else text
        if isinstance(raw, str) and _BAD.search(raw):
            raise ValueError(f"the value of {name} holds control characters")
    return value


class WebhookSettings(Settings):
    """Where to send, how, and with which headers."""

    ignored: ClassVar = BROWSER

    webhook_url: SecretUrl = Field(
        description="Address that gets the events; user, password and query are never shown.",
        examples=["https://hooks.example.com/turnout"],
    )
    method: Literal["POST", "PUT", "PATCH", "GET", "DELETE"] = Field(
        "POST",
        validation_alias=AliasChoices("method", "webhookMethod"),
        description="POST, PUT and PATCH send the event as JSON, GET and DELETE its properties as query.",
        examples=["PUT"],
    )
    headers: Annotated[dict[str, SecretStr], BeforeValidator(_headers)] = Field(
        {},
        description="Headers of every request, as a mapping; RudderStack's list of {from, to} is read too.",
        examples=[{"Authorization": "Bearer ${HOOK_TOKEN}"}],
    )
    idempotency_key: bool = Field(
        True,
        description="Send an `Idempotency-Key` that is the same on every attempt for the same event.",
        examples=[False],
    )

    @model_validator(mode="after")
    def _one_login(self) -> WebhookSettings:
        if has_user(self.webhook_url) and any(name.lower() == "authorization" for name in self.headers):
            raise ValueError("webhook_url has a user, and headers have Authorization: a request carries one of them")
        return self


def has_user(url: SecretUrl) -> bool:
    """Whether an address brings its own login."""
    return "@" in urlsplit(url.get_secret_value()).netloc
