"""What of an event Amplitude calls what: its fields, the user's properties, groups, names of pages.

Source: https://amplitude.com/docs/apis/analytics/http-v2 (keys of an event) and, for what a browser's
user agent becomes, the context plugin of Amplitude's Browser SDK.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from turnout import lookups, values
from turnout.fields import Field, Fields, getter, look
from turnout.user_agent import BROWSERS, SYSTEMS, device, first

__all__ = [
    "COMMON", "NAME", "USER_ID", "browser", "context_places", "context_properties", "event_groups",
    "identify_properties", "is_group", "mobile", "operations", "placed", "session", "template", "word",
]


def word(value: Any) -> str | None:
    """A text, or a number as one; Amplitude wants texts, and quietly drops events whose ids are numbers."""
    if isinstance(value, str):
        return value
    return values.text(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float) else None


USER_ID: Final = lookups.USER_ID_ONLY
NAME: Final = ("name", "event", "properties.name", "properties.category", "category")
"""What a page or screen is called."""
_PLACES = ("traits.{0}", "traits.address.{0}", "context.traits.address.{0}")
COMMON: Final = Fields(
    Field("user_id", USER_ID, via=word),
    Field("app_name", "context.app.name", via=word),
    Field("app_version", "context.app.version", via=word),
    Field("os_name", "context.os.name", via=word),
    Field("os_version", "context.os.version", via=word),
    Field("device_manufacturer", "context.device.manufacturer", via=word),
    Field("device_model", "context.device.model", via=word),
    Field("platform", "context.device.type", via=word),
    Field("carrier", "context.network.carrier", via=word),
    Field("language", "context.locale", via=word),
    Field("country", "context.location.country", *(one.format("country") for one in _PLACES), via=word),
    Field("region", "context.location.region", via=word),
    Field("city", "context.location.city", *(one.format("city") for one in _PLACES), via=word),
    Field("dma", "context.location.dma", via=word),
    Field("location_lat", "context.location.latitude", via=_plain),
    Field("location_lng", "context.location.longitude", via=_plain),
    Field("ip", lookups.IP, via=word),
    Field("time", lookups.TIMESTAMP, via=values.millis),
)
_ROOT = frozenset({
    "user_id", "device_id", "app_version", "platform", "os_name", "os_version", "device_brand",
    "device_manufacturer", "device_model", "carrier", "country", "region", "city", "dma", "language",
    "location_lat", "location_lng", "idfa", "idfv", "adid", "android_id",
})
"""Fields of an event that a mapped warehouse row may name by itself."""
_PLACED = frozenset({"city", "country"})
"""Traits that are fields of the event and no properties of the user."""
_APPLE = frozenset({"ios", "ipados", "tvos", "watchos", "macos"})


# ---- devices


@lru_cache(maxsize=4096)
def _agent(text: str) -> tuple[tuple[str, str], ...]:
    found, system, machine = first(BROWSERS, text), first(SYSTEMS, text)["name"], device(text)
    desk = not machine.get("type")  # a computer's maker and model are not in its user agent
    system = {"Mac OS": "Mac", "Chromium OS": "Chrome OS"}.get(system, system)
    told = {
        "os_name": found["name"],
        "os_version": found["version"],
        "device_model": (not desk and machine.get("model")) or system,
        "device_manufacturer": "" if desk else machine.get("vendor", ""),
    }
    return tuple((key, value) for key, value in told.items() if value)


def browser(message: Mapping[str, Any], into: dict[str, Any], *, screen: bool) -> None:
    """Of an event of a browser: its user agent as system, device and maker; a screen is never a browser's."""
    agent = look(message, lookups.USER_AGENT)
    if isinstance(agent, str) and agent:
        into.update(_agent(agent[:1000]))
    if not screen:
        into["platform"] = "Web"


def mobile(machine: Mapping[str, Any], into: dict[str, Any]) -> None:
    """The ids of a phone: Apple's for advertisers and vendors, Android's for advertisers."""
    system = machine.get("type")
    if not isinstance(system, str):
        return
    advertising, own = word(machine.get("advertisingId")), word(machine.get("id"))
    if system.lower() in _APPLE:
        if advertising:
            into["idfa"] = advertising
        if own:
            into["idfv"] = own
    elif system.lower() == "android" and advertising:
        into["adid"] = advertising


def session(*given: Any) -> int:
    """The start of a session, which is its id: the first that is a whole number; -1, no session, where none is."""
    for one in given:
        found = values.number(one) if one is not None else None
        if found is not None and float(found).is_integer():
            return int(found)
    return -1


# ---- properties of the user


def context_places(message: Mapping[str, Any], into: dict[str, Any]) -> None:
    """City and country that stand in `context.traits` itself, where a browser's SDK puts them."""
    traits = look(message, "context.traits")
    if isinstance(traits, dict):
        for name in _PLACED & traits.keys():
            if name not in into and word(traits[name]):
                into[name] = word(traits[name])


_INITIAL = ("initial_referrer", "initial_referring_domain")


def context_properties(message: Mapping[str, Any]) -> dict[str, Any]:
    """Where the user came from: the page's first referrer and the campaign as `utm_…`."""
    found: dict[str, Any] = {}
    context = message.get("context")
    if not isinstance(context, dict):
        return found
    page, campaign = context.get("page"), context.get("campaign")
    if isinstance(page, dict):
        for name in _INITIAL:
            if page.get(name):
                found[name] = page[name]
    if isinstance(campaign, dict):
        for name, value in campaign.items():
            found[f"utm_{name}"] = value
    return found


def placed(traits: Any) -> Mapping[str, Any]:
    """The traits in an event's context, without the city and country that are fields of the event."""
    if not isinstance(traits, dict):
        return {}
    address = traits.get("address")
    if not isinstance(address, dict) or not (_PLACED & address.keys()):
        return traits
    return {**traits, "address": values.without(address, _PLACED)}


def identify_properties(message: Mapping[str, Any], into: dict[str, Any]) -> dict[str, Any]:
    """All traits of an identify, those of its address beside them; of a mapped row, fields go `into` the event."""
    every: dict[str, Any] = {}
    address: dict[str, Any] = {}
    for path in ("context.traits", "traits"):
        traits = look(message, path)
        if not isinstance(traits, dict):
            continue
        every.update(traits)
        if isinstance(traits.get("address"), dict):
            address.update(traits["address"])
            every.pop("address", None)
    found = {**context_properties(message), **address, **every}
    if lookups.mapped(message):
        named = {name: found.pop(name) for name in _ROOT & found.keys()}
        for one in lookups.external_ids(message)[:1]:
            kind, ident = one.get("identifierType"), word(one.get("id"))
            if isinstance(kind, str) and kind and ident:
                found[kind] = ident
                if kind in _ROOT:
                    named[kind] = ident
        into.update({name: value for name, value in named.items() if _plain(value) not in (None, "")})
    return {name: value for name, value in found.items() if name not in _PLACED}


def operations(
    properties: dict[str, Any], lists: Iterable[tuple[str, Iterable[str]]], unset: Any, *, apart: bool
) -> dict[str, Any]:
    """Properties of a user with those named in `lists` under their operation, and `unset` ones under `$unset`.

    `apart` puts the others under `$set`: Amplitude does not want operations and properties beside each other
    (https://amplitude.com/docs/apis/analytics/identify).
    """
    made: dict[str, dict[str, Any]] = {}
    for operation, names in lists:
        taken = {name: properties.pop(name) for name in names if name in properties}
        if taken:
            made[operation] = taken
    gone = [name for name in unset if isinstance(name, str) and name] if isinstance(unset, list) else []
    if gone:
        made["$unset"] = dict.fromkeys(gone, "-")
    if not apart:
        return {**properties, **made}
    rest = values.without(properties, gone)
    return {**({"$set": rest} if rest else {}), **made}


# ---- groups


def is_group(group: Mapping[str, Any]) -> bool:
    """Whether it names one: texts in `group_type` and `group_value`."""
    return isinstance(group.get("group_type"), str) and bool(group["group_type"] and word(group.get("group_value")))


def event_groups(options: Mapping[str, Any]) -> dict[str, Any]:
    """Groups of one event: `{group_type, group_value}`, or names and values as Amplitude has them."""
    given = options.get("groups")
    if not isinstance(given, Mapping) or not given:
        return {}
    return {given["group_type"]: given["group_value"]} if is_group(given) else dict(given)


# ---- names


_SLOT = re.compile(r"\{\{\s*([^{}\s]+)\s*\}\}")


def template(text: str) -> Callable[[Mapping[str, Any]], str]:
    """A function that fills `{{ path }}` from an event, else from its properties; "" for what is not there."""
    pieces = _SLOT.split(text)
    plain, paths = pieces[::2], pieces[1::2]
    finders = [(getter(path), getter(f"properties.{path}")) for path in paths]

    def filled(message: Mapping[str, Any]) -> str:
        found = [word(look(message, *both)) or "" for both in finders]
        return "".join(a + b for a, b in zip(plain, [*found, ""], strict=True)).strip()

    return filled
