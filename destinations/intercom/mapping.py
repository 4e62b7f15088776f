"""What events are to Intercom: bodies of contacts (2.10) and users (1.4), events and companies.

Source: https://developers.intercom.com/docs/references/2.10/rest-api/api.intercom.io.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from hashlib import md5
from typing import Any, Final

from turnout import codec
from turnout.errors import Refused
from turnout.fields import Field, Fields, getter, look
from turnout.lookups import TIMESTAMP, USER_ID_ONLY, external_ids, full_name, mapped, traits
from turnout.values import boolean, flat, integer, seconds, text

__all__ = ["Body", "company", "contact", "event_of", "identifier", "member", "row", "tags", "user", "who", "word"]

Body = dict[str, Any]
_TRAITS = ("traits", "context.traits")
MOST_TAGS: Final = 100
"""Tags that an event gives a company."""


def word(value: Any) -> str:
    """An id or an address as text, which the API asks for; "" where it is none."""
    if isinstance(value, str):
        return value if value.strip() else ""
    return (text(value) or "") if isinstance(value, int | float) and not isinstance(value, bool) else ""


def _trait(*names: str) -> tuple[str, ...]:
    return tuple(f"{place}.{name}" for place in _TRAITS for name in names)


def _words(value: Any) -> str | None:
    return word(value) or None


def _role(value: Any) -> str | None:
    """`user` or `lead`; people have other roles, of which Intercom knows nothing."""
    found = value.lower() if isinstance(value, str) else None
    return found if found in ("user", "lead") else None


def _picture(value: Any) -> Body | None:
    found = word(value)
    return {"type": "avatar", "image_url": found} if found else None


_EMAIL: Final = _trait("email")
_ADDRESS: Final = tuple(getter(path) for path in _EMAIL)
_OF_MEMBER: Final = (getter("context.traits.email"),)
_IDENT: Final = tuple(getter(path) for path in USER_ID_ONLY)
_AVATAR: Final = _trait("avatar")
_CREATED: Final = _trait("createdAt", "created_at")
_UNSUBSCRIBED: Final = ("context.unsubscribedFromEmails", *_trait("unsubscribedFromEmails", "unsubscribed_from_emails"))
_PERSON = Fields(
    Field("email", _EMAIL, via=_words),
    Field("phone", _trait("phone"), via=_words),
    Field("name", full_name),
    Field("signed_up_at", _CREATED, via=seconds),
    Field("unsubscribed_from_emails", _UNSUBSCRIBED, via=boolean),
)
_CONTACT = _PERSON + Fields(
    Field("avatar", _AVATAR, via=_words),
    Field("role", _trait("role"), via=_role),
    Field("owner_id", _trait("ownerId", "owner_id"), via=integer),
    Field("last_seen_at", _trait("lastSeenAt", "last_seen_at"), via=seconds),
)
_USER = _PERSON + Fields(
    Field("avatar", _AVATAR, via=_picture),
    Field("last_seen_user_agent", "context.userAgent", via=_words),
)
_COMPANY = Fields(
    Field("name", "name", via=_words),
    Field("website", "website", via=_words),
    Field("plan", "plan", via=_words),
    Field("size", "size", via=integer),
    Field("industry", "industry", via=_words),
    Field("monthly_spend", "monthlySpend", "monthly_spend", via=integer),
    Field("remote_created_at", "remoteCreatedAt", "remote_created_at", "createdAt", "created_at", via=seconds),
)
_OF_PEOPLE = frozenset({
    "userId", "user_id", "id", "external_id", "email", "phone", "name", "firstName", "firstname", "first_name",
    "lastName", "lastname", "last_name", "createdAt", "created_at", "avatar", "company", "custom_attributes",
    "unsubscribedFromEmails", "unsubscribed_from_emails",
})
_OF_CONTACTS = _OF_PEOPLE | {"role", "ownerId", "owner_id", "lastSeenAt", "last_seen_at"}
_OF_COMPANIES = frozenset({
    "id", "company_id", "groupId", "name", "website", "plan", "size", "industry", "monthlySpend", "monthly_spend",
    "remoteCreatedAt", "remote_created_at", "createdAt", "created_at", "tags", "remove", "custom_attributes",
})


_MONEY: Final = frozenset({"amount", "currency"})
_LINK: Final = frozenset({"url", "value"})
"""Objects that the metadata of an event may hold."""


# ---- people


def who(message: Mapping[str, Any], anonymous: bool) -> tuple[str, str]:
    """The id and the e-mail address that Intercom knows a user by, "" where there is none."""
    ident = _first(message, _IDENT)
    if not ident and anonymous:
        ident = word(message.get("anonymousId"))
    return ident, _first(message, _ADDRESS)


def _first(message: Mapping[str, Any], getters: Iterable[Callable[[Any], Any]]) -> str:
    for find in getters:
        found = word(find(message))
        if found:
            return found
    return ""


def contact(message: Mapping[str, Any], ident: str) -> Body:
    """A contact of 2.10, with custom attributes whose names have no points, which Intercom does not take."""
    if mapped(message):
        return _as_mapped(message, "external_id", ident)
    made = {"external_id": ident} if ident else {}
    return _with_attributes(_CONTACT.fill(message, made), traits(message), _OF_CONTACTS, "_")


def user(message: Mapping[str, Any], ident: str, last_request: bool) -> Body:
    """A user of 1.4, with the company that is among the traits."""
    made: Body = {"update_last_request_at": last_request}
    if mapped(message):
        return {**_as_mapped(message, "user_id", ident), **made}
    if ident:
        made["user_id"] = ident
    given = traits(message)
    _with_attributes(_USER.fill(message, made), given, _OF_PEOPLE, ".")
    employer = given.get("company")
    if isinstance(employer, dict):
        made["companies"] = _employers(employer)
    elif word(employer):
        made["companies"] = _employers({"name": employer})
    return made


def identifier(message: Mapping[str, Any], called: str) -> tuple[str, str] | None:
    """Field and value that `context.externalId` identifies a mapped row by; `called` is the field of userIds."""
    for one in external_ids(message):
        field, value = one.get("identifierType"), word(one.get("id"))
        if isinstance(field, str) and field and value:
            return (called if field in ("user_id", "external_id", "userId") else field), value
    return None


def _as_mapped(message: Mapping[str, Any], called: str, ident: str) -> Body:
    """A row whose traits are Intercom's own fields already."""
    made = {**traits(message)}
    name = full_name(message)
    if name:
        made.setdefault("name", name)
    field, value = identifier(message, called) or (called, ident)
    if value:
        made[field] = value
    return made


def _employers(given: Mapping[str, Any]) -> list[Body]:
    """The company of a user's traits; a name without an id has one that is made of it, always the same."""
    ident, name = word(given.get("id")) or word(given.get("company_id")), word(given.get("name"))
    if not ident and name:
        ident = md5(name.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()
    if not ident:
        return []
    made = _COMPANY.fill(given, {"company_id": ident})
    if given.get("remove") is True:
        made["remove"] = True
    more = {
        key: codec.dumps(value).decode() if isinstance(value, dict | list) else value
        for key, value in given.items() if key not in _OF_COMPANIES
    }
    return [{**made, "custom_attributes": more} if more else made]


def _with_attributes(
    made: Body, given: Mapping[str, Any], own: frozenset[str], separator: str, *, less: str = ""
) -> Body:
    """Everything that is no field of Intercom's own, flat, since it takes no objects; null clears an attribute."""
    more = {key: value for key, value in given.items() if key not in own and key != less}
    explicit = given.get("custom_attributes")
    if isinstance(explicit, dict):
        more.update(explicit)
    if any(isinstance(value, dict | list) for value in more.values()):
        more = _flat(more, separator)
    if more:
        made["custom_attributes"] = more
    return made


def _flat(value: Mapping[str, Any], separator: str) -> Body:
    """Without objects and lists, and so without empty ones."""
    return {key: item for key, item in flat(value, separator).items() if item not in ({}, [])}


# ---- companies


def member(message: Mapping[str, Any], anonymous: bool) -> tuple[str, str]:
    """Id and address of who belongs to a group, whose traits are the group's own."""
    ident = word(message.get("userId")) or (word(message.get("anonymousId")) if anonymous else "")
    return ident, _first(message, _OF_MEMBER)


def company(message: Mapping[str, Any], separator: str, taken: str) -> Body:
    """A company; its `email` is an attribute, unless it is `taken` for that of the member."""
    given = message.get("traits")
    given = given if isinstance(given, dict) else {}
    ident = word(message.get("groupId")) or word(given.get("groupId"))
    if not ident:
        raise Refused("missing_field", "groupId is missing")
    made = _COMPANY.fill(given, {"company_id": ident})
    less = "email" if taken and given.get("email") == taken else ""
    return _with_attributes(made, given, _OF_COMPANIES, separator, less=less)


def tags(message: Mapping[str, Any]) -> list[str]:
    """The tags that a group's company is to have; raises `Refused` for more than anybody means."""
    found = look(message, "traits.tags", "context.traits.tags")
    if not isinstance(found, list):
        return []
    if len(found) > MOST_TAGS:
        raise Refused("too_many", f"a company gets at most {MOST_TAGS} tags from one event: each is a request")
    return [word(one) for one in found if word(one)]


# ---- events and rows


def event_of(message: Mapping[str, Any], ident: str, email: str, contact_id: Any, legacy: bool) -> Body:
    """An event of a user; raises `Refused` where there is no name or nobody."""
    time = seconds(look(message, TIMESTAMP))
    if mapped(message):
        made = {**traits(message)}
        if time is not None:
            made.setdefault("created_at", time)
        return made
    name = message.get("event")
    if not isinstance(name, str) or not name.strip():
        raise Refused("missing_field", "event, the name, is missing, or no text")
    made = {"event_name": name}
    if time is not None:
        made["created" if legacy else "created_at"] = time
    if ident:
        made["user_id"] = ident
    if email:
        made["email"] = email
    if word(contact_id):
        made["id"] = word(contact_id)
    if len(made.keys() & {"user_id", "email", "id"}) == 0:
        raise Refused("missing_field", "userId or context.traits.email is missing")
    properties = message.get("properties")
    if isinstance(properties, dict) and properties:
        made["metadata"] = _metadata(properties, "." if legacy else "_")
    return made


def _metadata(properties: Mapping[str, Any], separator: str) -> Body:
    """Texts, numbers, amounts of money and links as they are, everything else flat."""
    made: Body = {}
    for key, value in properties.items():
        if not isinstance(value, dict | list) or (isinstance(value, dict) and _kept_whole(value.keys())):
            made[key] = value
        elif value:
            made.update(_flat({key: value}, separator))
    return made


def _kept_whole(keys: Set[str]) -> bool:
    return keys >= _MONEY or keys >= _LINK


def row(message: Mapping[str, Any]) -> tuple[str, Body, Body]:
    """Action, identifiers and fields of a row of a warehouse, in Intercom's names."""
    action = str(message.get("action")).lower()
    if action not in ("insert", "update", "delete"):
        raise Refused("bad_field", "action is none of insert, update, delete")
    given = message.get("identifiers")
    named = {name: word(value) for name, value in given.items()} if isinstance(given, dict) else {}
    known = {"external_id" if name == "user_id" else name: value for name, value in named.items() if value}
    if not known:
        raise Refused("missing_field", "identifiers names no contact: email or external_id is needed")
    fields = message.get("fields")
    return action, known, {**fields} if isinstance(fields, dict) else {}
