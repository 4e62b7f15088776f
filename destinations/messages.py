"""Messages to people, made of events by templates: what destinations that post to a chat have in common."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, NamedTuple

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field

from turnout import Event, HookUrl, Names, Settings, values
from turnout.errors import Refused
from turnout.fields import Getter, getter
from turnout.lookups import EMAIL, FIRST_NAME, LAST_NAME, NAME, traits
from turnout.settings import BROWSER
from turnout.templates import Escape, Template, listed

__all__ = [
    "EventMatch", "EventTemplate", "MessageSettings", "Messages", "Readable", "Rows", "chosen", "event_name",
    "matchers", "who",
]

LONGEST_NAME = 200
"""Characters of an event's name that a pattern is held against: strangers name events, and have no say in how long that
takes."""
_UNBOUNDED = re.compile(r"[*+]|\{\d*,\}")
_SET = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_NAME, _FIRST, _LAST = ([getter(path) for path in paths] for paths in (NAME, FIRST_NAME, LAST_NAME))
_OTHER = [getter(path) for path in ("traits.username", "context.traits.username", "properties.email", *EMAIL)]


def _template(text: str) -> str:
    Template(text)
    return text


def _rows(value: Any) -> Any:
    """Without rows that name no event: RudderStack's forms end with an empty one."""
    if not isinstance(value, list | tuple):
        return value
    names = ("event", "eventName", "name")
    return [
        row for row in value
        if not isinstance(row, Mapping) or any(row.get(name) for name in names) or not set(row) & set(names)
    ]


TemplateText = Annotated[str, AfterValidator(_template)]
"""A text that is a template; what is none is an error of the settings."""
Rows = BeforeValidator(_rows)


class EventMatch(Settings):
    """Which events a row is for."""

    event: str = Field(
        validation_alias=AliasChoices("event", "eventName", "name"), min_length=1,
        description="Name of the event, or a regular expression.", examples=["Room Booked"],
    )
    regex: bool = Field(
        False, validation_alias=AliasChoices("regex", "eventRegex"),
        description="`event` is a regular expression, looked for anywhere in the name.", examples=[True],
    )

    def pattern(self) -> re.Pattern[str] | None:
        """The expression; None where the row names one event. Raises ValueError for what is none."""
        if not self.regex:
            return None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                made = re.compile(self.event)
        except re.error as error:
            raise ValueError(f"event: no regular expression: {error.msg}") from error
        except Warning as doubt:  # what a later Python reads otherwise
            raise ValueError(f"event: {doubt}: write a backslash before what stands for itself") from doubt
        if _endless(self.event):
            raise ValueError("event: a repeated group may not repeat or choose inside: names could be matched forever")
        return made


def _endless(pattern: str) -> bool:
    """Whether a group is repeated without end that repeats without end, or chooses, inside: `(a+)+`, `(a|b)*`.

    What such a pattern costs can double with every character of a name.
    """
    place, groups = 0, [False]
    while place < len(pattern):
        char = pattern[place]
        if char == "\\":
            place += 2
            continue
        if char == "[" and (found := _SET.match(pattern, place)):
            place = found.end()
            continue
        if char == "(":
            groups.append(False)
        elif char == ")" and len(groups) > 1:
            inside = groups.pop()
            if inside and _UNBOUNDED.match(pattern, place + 1):
                return True
            groups[-1] = groups[-1] or inside
        elif char == "|" or _UNBOUNDED.match(pattern, place):
            groups[-1] = True
        place += 1
    return False


def _readable(rows: tuple[Any, ...]) -> tuple[Any, ...]:
    for row in rows:
        row.pattern()
    return rows


Readable = AfterValidator(_readable)


class EventTemplate(EventMatch):
    """The message for some events."""

    template: TemplateText = Field(
        "", validation_alias=AliasChoices("template", "eventTemplate"),
        description="What is said; `track_template` where it is empty.",
        examples=["{{name}} booked {{properties.room}}"],
    )


class MessageSettings(Settings):
    """Where messages go, and what they say."""

    ignored: ClassVar = BROWSER | {"IdentifyTemplate"}  # which RudderStack's server does not read either

    webhook_url: HookUrl = Field(
        description="Address of the incoming webhook; nothing of it but the host is shown.",
        examples=["${CHAT_WEBHOOK_URL}"],
    )
    identify_template: TemplateText = Field(
        "Identified {{name}} with {{traits}}",
        description="Message for an identify.", examples=["{{name}} has signed up{{newline}}Plan: {{plan}}"],
    )
    track_template: TemplateText = Field(
        "{{name}} did {{event}}", description="Message for events without a template of their own.",
        examples=["{{event}}: {{properties}}"],
    )
    templates: Annotated[tuple[EventTemplate, ...], Rows, Readable] = Field(
        (), validation_alias=AliasChoices("templates", "eventTemplateSettings", "event_template_settings"),
        description="Messages by event, `{event, template, regex}`; the first that fits counts.",
        examples=[[{"event": "Room Booked", "template": "{{name}} booked {{properties.room}}"}]],
    )
    traits: Names = Field(
        (), validation_alias=AliasChoices("traits", "whitelistedTraitsSettings", "whitelisted_traits_settings"),
        description="Traits that `{{traits}}` and `{{traitsList.…}}` may show; all where none is named.",
        examples=[["plan", "country"]],
    )
    denied_events: Names = Field(
        (), validation_alias=AliasChoices("denied_events", "denyListOfEvents", "deny_list_of_events"),
        description="Events that are not told.", examples=[["Heartbeat"]],
    )


class Matcher(NamedTuple):
    """A row of the settings, ready to be held against names."""

    name: str
    pattern: re.Pattern[str] | None
    row: Any


def matchers(rows: Sequence[EventMatch]) -> tuple[Matcher, ...]:
    """The rows, their patterns compiled."""
    return tuple(Matcher(row.event, row.pattern(), row) for row in rows)


def chosen(matchers: Sequence[Matcher], name: str) -> Any:
    """The first row for an event of this name; None where there is none."""
    for one in matchers:
        if one.pattern.search(name[:LONGEST_NAME]) if one.pattern else one.name == name:
            return one.row
    return None


class Messages:
    """What the settings say of an event; `escape` is what values go through that a template has in `{{…}}`."""

    def __init__(self, settings: MessageSettings, *, escape: Escape | None = None) -> None:
        self._identify = Template(settings.identify_template, escape=escape)
        self._track = Template(settings.track_template, escape=escape)
        self._own = matchers(settings.templates)
        self._texts = {row.template: Template(row.template, escape=escape) for row in settings.templates}
        self._traits = settings.traits
        self._denied = frozenset(settings.denied_events)

    def denied(self, name: str) -> bool:
        """Whether the settings keep events of this name back."""
        return name in self._denied

    def text(self, event: Event, name: str) -> str:
        """The message for an event.

        `name` is that of a track, "" for an identify. Raises `Refused` where a template makes too much of it.
        """
        return self.template(event, name).render(self.context(event, name))

    def template(self, event: Event, name: str) -> Template:
        """The template that is for this event."""
        if event.kind == "identify":
            return self._identify
        row = chosen(self._own, name)
        return self._texts[row.template] if row is not None and row.template else self._track

    def context(self, event: Event, name: str) -> dict[str, Any]:
        """What a template knows: the event, its properties (of an identify: its traits) by their own names, and
        `name`, `event`, `properties`, `propertiesList`, `traits`, `traitsList`."""
        message = event.message
        about = traits(message)
        shown = {key: about[key] for key in self._traits if key in about} if self._traits else about
        properties = message.get("properties")
        own = about if event.kind == "identify" else properties
        return {
            **message, **(own if isinstance(own, dict) else {}),
            "name": who(message), "event": name, "properties": properties,
            "propertiesList": listed(properties) if isinstance(properties, dict) else "",
            "traits": shown, "traitsList": shown,
        }


def event_name(event: Event) -> str:
    """The name of a track; "" for an identify. Raises `Refused` where it has none."""
    if event.kind == "identify":
        return ""
    found = event.get("event")
    name = values.text(found) if isinstance(found, str | int | float) else None
    if not name:
        raise Refused("missing_field", "event is missing: a track needs a name")
    return name


def who(message: Any) -> str:
    """What a person is called: by name, user name, e-mail, else by an id.

    Source: https://www.rudderstack.com/docs/destinations/streaming-destinations/slack/
    """
    if found := _first(_NAME, message):
        return found
    if parts := [part for part in (_first(_FIRST, message), _first(_LAST, message)) if part]:
        return " ".join(parts)
    if found := _first(_OTHER, message):
        return found
    if user := values.text(message.get("userId")):
        return f"User {user}"
    return f"Anonymous user {values.text(message.get('anonymousId')) or ''}".rstrip()


def _first(getters: Sequence[Getter], message: Any) -> str:
    for find in getters:
        value = find(message)
        if value is not None and value != "":
            return values.text(value) or ""
    return ""
