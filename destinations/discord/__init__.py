"""Discord: messages and cards to channels through webhooks."""

from __future__ import annotations

from typing import Any, ClassVar

from destinations.discord.settings import DiscordSettings
from destinations.messages import Messages, chosen, event_name, matchers
from turnout import Context, Delivery, Destination, Event, Json, Kind, Request, Rule, Verdict, filtered, values
from turnout.templates import Template

__all__ = ["Discord"]

# https://discord.com/developers/docs/resources/webhook#execute-webhook and .../resources/message#embed-object
_content, _title, _description = values.cut(2_000), values.cut(256), values.cut(4_096)


class Discord(Destination[DiscordSettings]):
    """A message or a card for every identify and track, by template, to the channel that its event is for."""

    slug: ClassVar = "discord"
    names: ClassVar = ("Discord",)
    kinds: ClassVar = frozenset({Kind.IDENTIFY, Kind.TRACK})
    # Thirty messages a minute and channel, in the order of the events.
    delivery = Delivery(rate=0.5, concurrency=1)
    settings_type: ClassVar = DiscordSettings
    # https://discord.com/developers/docs/topics/opcodes-and-status-codes#json
    rules: ClassVar = (
        Rule("pause", "the webhook has been removed", status=404, path="code", values=(10015,)),
        Rule("pause", "the webhook's token is not valid", status=(400, 401, 403), path="code", values=(50027,)),
        Rule("dead", "there is no such channel or thread", status=404, path="code", values=(10003,)),
    )

    def __init__(self, settings: DiscordSettings) -> None:
        super().__init__(settings)
        self._url = settings.webhook_url.get_secret_value()
        self._messages = Messages(settings)
        self._channels = matchers(settings.channels)
        self._embed = settings.embed_flag
        self._title = Template(settings.embed_title_template)
        self._description = Template(settings.embed_description_template)
        self._always: dict[str, Any] = {
            name: value for name in ("username", "avatar_url") if (value := getattr(settings, name)) is not None
        }
        if not settings.mentions:
            self._always["allowed_mentions"] = {"parse": []}

    def request(self, event: Event, at: Context) -> Request | Verdict:
        """One message: its content, or a card."""
        name = event_name(event)
        if name and self._messages.denied(name):
            return filtered("the settings keep this event back (denied_events)")
        place = chosen(self._channels, name) if name else None
        url = self._url if place is None else place.webhook_url.get_secret_value()
        said = self._card(event, name) if self._embed else self._plain(event, name)
        if not said:
            return filtered("its template makes no message of it")
        return Request("POST", url, Json(said | self._always))

    def _plain(self, event: Event, name: str) -> dict[str, Any]:
        text = self._messages.text(event, name)
        return {"content": _content(text)} if text.strip() else {}

    def _card(self, event: Event, name: str) -> dict[str, Any]:
        context = self._messages.context(event, name)
        title = self._title.render(context)
        body = (self._description if self._description.text else self._messages.template(event, name)).render(context)
        card = {"title": _title(title), "description": _description(body)}
        kept = {key: text for key, text in card.items() if text and text.strip()}
        return {"embeds": [kept]} if kept else {}
