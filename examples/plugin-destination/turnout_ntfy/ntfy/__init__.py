"""ntfy: a notification on people's phones for events that matter."""

from __future__ import annotations

from typing import Any, ClassVar

from turnout import Bearer, Context, Delivery, Destination, Event, Json, Kind, Request, Rule, Verdict, filtered, values
from turnout.lookups import traits
from turnout.templates import Template

from turnout_ntfy.ntfy.settings import NtfySettings

__all__ = ["Ntfy"]

MESSAGE_BYTES = 4096
"""A longer message becomes an attachment: https://docs.ntfy.sh/publish/#limitations"""
_title = values.cut(250)


class Ntfy(Destination[NtfySettings]):
    """A notification for every track that the settings name."""

    slug: ClassVar = "ntfy"
    names: ClassVar = ("ntfy", "ntfy.sh")
    kinds: ClassVar = frozenset({Kind.TRACK})
    # ntfy.sh takes 60 requests at once, then one in five seconds: what is slowed down stays in order.
    delivery = Delivery(concurrency=1)
    settings_type: ClassVar = NtfySettings
    # ntfy's errors are {"code": 42901, "http": 429, "error": "…"}, without a Retry-After.
    rules: ClassVar = (
        Rule("throttle", "the day's messages are used up", status=429, path="code", values=(42908,), after=3600),
        Rule("throttle", "too many requests", status=429, path="code", values=(42901,), after=5),
        Rule("pause", "the token may not write to this topic", status=403),
        Rule("pause", "the server does not take this topic", status=400, path="code", values=(40009, 40010)),
    )

    def __init__(self, settings: NtfySettings) -> None:
        super().__init__(settings)
        if settings.token is not None:
            self.auth = Bearer(settings.token.get_secret_value())
        self._url = f"{settings.server.rstrip('/')}/"
        self._events = frozenset(settings.events)
        self._title, self._message = Template(settings.title), Template(settings.message)
        self._always: dict[str, Any] = {"topic": settings.topic.get_secret_value()}
        if settings.priority is not None:
            self._always["priority"] = settings.priority
        if settings.tags:
            self._always["tags"] = list(settings.tags)

    def request(self, event: Event, at: Context) -> Request | Verdict:
        """One message, by its templates: https://docs.ntfy.sh/publish/#publish-as-json"""
        name = event.get("event", None)
        if not isinstance(name, str) or not name.strip():
            return filtered("a track without a name")
        if self._events and name not in self._events:
            return filtered("the settings name other events (events)")
        known = {**event.message, "traits": traits(event.message)}
        message = _short(self._message.render(known))
        if not message.strip():
            return filtered("its template makes no message of it")
        return Request("POST", self._url, Json({**self._always, "title": _title(self._title.render(known)),
                                                "message": message}))


def _short(text: str) -> str:
    """As many whole characters as ntfy takes in one message."""
    data = text.encode("utf-8", "replace")
    return text if len(data) <= MESSAGE_BYTES else data[: MESSAGE_BYTES - 3].decode("utf-8", "ignore") + "…"
