"""Where SDKs put the common facts of an event; for `Field`, `look`, or called with a message.

The order is that of the RudderStack and Segment specs and of the facts in their documentation: a
value of the event itself comes before one of its context.
Source: https://www.rudderstack.com/docs/event-spec/standard-events/common-fields/ and
https://segment.com/docs/connections/spec/common/.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from turnout.fields import getter, look

__all__ = [
    "ANONYMOUS_ID", "BIRTHDAY", "CITY", "COMPANY", "COUNTRY", "CREATED_AT", "CURRENCY", "EMAIL",
    "FIRST_NAME", "GENDER", "GROUP_ID", "IP", "LAST_NAME", "NAME", "PAGE_PATH", "PAGE_REFERRER",
    "PAGE_TITLE", "PAGE_URL", "PHONE", "REGION", "SESSION_ID", "STATE", "STREET", "TIMESTAMP", "TRAITS",
    "USER_AGENT", "USER_ID", "USER_ID_ONLY", "ZIP", "external_id", "external_ids", "full_name", "mapped",
    "products", "traits",
]

USER_ID_ONLY: Final = (
    "userId", "traits.userId", "traits.id", "context.traits.userId", "context.traits.id",
)
"""Who the user is, where that is known."""
ANONYMOUS_ID: Final = "anonymousId"
USER_ID: Final = (*USER_ID_ONLY, ANONYMOUS_ID)
"""Who the user is, else which browser or device it was."""
TRAITS: Final = ("traits", "context.traits")


def _traits(*names: str) -> tuple[str, ...]:
    return tuple(f"{place}.{name}" for place in TRAITS for name in names)


EMAIL: Final = (*_traits("email"), "properties.email")
PHONE: Final = (*_traits("phone"), "properties.phone")
NAME: Final = _traits("name")
FIRST_NAME: Final = _traits("firstName", "firstname", "first_name")
LAST_NAME: Final = _traits("lastName", "lastname", "last_name")
GENDER: Final = _traits("gender")
BIRTHDAY: Final = _traits("birthday")
COMPANY: Final = _traits("company")
CITY: Final = _traits("city", "address.city")
COUNTRY: Final = _traits("country", "address.country")
STATE: Final = _traits("state", "address.state")
REGION: Final = _traits("region", "address.region")
STREET: Final = _traits("street", "address.street")
ZIP: Final = _traits("zip", "zipcode", "postalCode", "address.zip", "address.postalCode")
TIMESTAMP: Final = ("timestamp", "originalTimestamp")
CREATED_AT: Final = (*_traits("createdAt", "created_at"), *TIMESTAMP)
"""When the user came to be: a trait, else the time of the event."""
GROUP_ID: Final = ("groupId", "traits.groupId")
SESSION_ID: Final = ("session_id", "context.sessionId")
IP: Final = ("context.ip", "request_ip")
USER_AGENT: Final = ("context.userAgent", "context.user_agent")
CURRENCY: Final = "properties.currency"
PAGE_URL: Final = ("context.page.url", "properties.url")
PAGE_PATH: Final = ("context.page.path", "properties.path")
PAGE_TITLE: Final = ("context.page.title", "properties.title")
PAGE_REFERRER: Final = ("context.page.referrer", "properties.referrer")


_TRAITS = tuple(getter(path) for path in TRAITS)
_mapped, _external_ids = getter("context.mappedToDestination"), getter("context.externalId")


def traits(message: Any) -> dict[str, Any]:
    """The traits of an event, else those of its context, not merged; {} where it has none.

    Not a copy: it must not be changed.
    """
    for find in _TRAITS:
        found = find(message)
        if isinstance(found, dict) and found:
            return found
    return {}


def full_name(message: Any) -> str | None:
    """The name of a person: `name`, else first and last name with a space between."""
    name = look(message, NAME)
    if isinstance(name, str):
        return name
    parts = [part for part in (look(message, FIRST_NAME), look(message, LAST_NAME)) if isinstance(part, str)]
    return " ".join(parts) or None


def products(message: Any) -> list[dict[str, Any]]:
    """`properties.products`, those of them that are objects; [] where there are none."""
    found = look(message, "properties.products")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def external_ids(message: Any) -> Sequence[Mapping[str, Any]]:
    """The entries of `context.externalId`, `{"type", "id", …}`; [] where there are none."""
    found = _external_ids(message)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def external_id(message: Any, kind: str) -> Any:
    """The `id` of the first entry of `context.externalId` of this type; None where there is none."""
    for one in external_ids(message):
        if one.get("type") == kind and one.get("id") not in (None, ""):
            return one["id"]
    return None


def mapped(message: Any) -> bool:
    """Whether the event comes from a warehouse and its traits are the tool's own fields already.

    They are then passed on as they are (`context.mappedToDestination`).
    """
    return bool(_mapped(message))
