"""Slack: messages to channels through incoming webhooks."""

from __future__ import annotations

from typing import Any, ClassVar

from destinations.messages import Messages, chosen, event_name, matchers
from destinations.slack.settings import SlackSettings
from turnout import Context, Delivery, Destination, Event, Form, Kind, Request, Rule, Verdict, codec, filtered, values

__all__ = ["Slack"]

_cut = values.cut(40_000)
"""Slack cuts a message itself there: https://docs.slack.dev/reference/methods/chat.postMessage#truncating"""


def _escaped(text: str) -> str:
    """The three characters that Slack gives a meaning to (https://docs.slack.dev/messaging/formatting-message-text),
    so that an event mentions nobody and links nowhere."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class Slack(Destination[SlackSettings]):
    """A message for every identify and track, by template, to the channel that its event is for."""

    slug: ClassVar = "slack"
    names: ClassVar = ("Slack",)
    kinds: ClassVar = frozenset({Kind.IDENTIFY, Kind.TRACK})
    # A message a second and channel (https://docs.slack.dev/apis/web-api/rate-limits), in the order of the events.
    delivery = Delivery(rate=1.0, concurrency=1)
    settings_type: ClassVar = SlackSettings
    # https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling_errors
    rules: ClassVar = (
        Rule("pause", "the webhook has been removed or is disabled", status=404, text="no_service"),
        Rule("pause", "the workspace is not there any more", status=404, text="no_team"),
        Rule("pause", "the app has no webhook that is active", status=404, text="no_active_hooks"),
        Rule("pause", "the webhook's token is not valid", status=403, text="invalid_token"),
        Rule("pause", "the workspace's administrators do not allow it", status=403, text="action_prohibited"),
        Rule("dead", "the channel is archived", status=410, text="channel_is_archived"),
        Rule("dead", "there is no such channel", status=404, text="channel_not_found"),
    )

    def __init__(self, settings: SlackSettings) -> None:
        super().__init__(settings)
        self._url = settings.webhook_url.get_secret_value()
        self._messages = Messages(settings, escape=_escaped)
        self._channels = matchers(settings.channels)
        self._said_by = {
            name: value for name in ("username", "icon_url") if (value := getattr(settings, name)) is not None
        }

    def request(self, event: Event, at: Context) -> Request | Verdict:
        """One message, as the form field that Slack takes JSON in."""
        name = event_name(event)
        if name and self._messages.denied(name):
            return filtered("the settings keep this event back (denied_events)")
        text = self._messages.text(event, name)
        if not text.strip():
            return filtered("its template makes no message of it")
        payload: dict[str, Any] = {"text": _cut(text), **self._said_by}
        url = self._url
        place = chosen(self._channels, name) if name else None
        if place is not None:
            if place.webhook_url is not None and self.settings.incoming_webhooks_type != "legacy":
                url = place.webhook_url.get_secret_value()
            elif place.channel and self.settings.incoming_webhooks_type != "modern":
                payload["channel"] = place.channel
        return Request("POST", url, Form({"payload": codec.dumps(payload).decode()}))
