"""Which record an event is about: a contact by its traits, an object by a row of a warehouse, two of them to connect.

Source: https://developers.hubspot.com/docs/api-reference/crm-associations-v3/guide.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from destinations.hubspot.mapping import scalar
from turnout import values
from turnout.errors import Refused
from turnout.fields import look
from turnout.lookups import external_ids, traits

__all__ = ["CONTACTS", "Association", "Target", "address", "association", "contact_target", "row", "row_target"]

CONTACTS: Final = "contacts"
_PREFIX = "hs-"
_ADDRESS = re.compile(r"[^@\s]+@[^@\s.][^@\s]*\.[^@\s.]+")
"""An e-mail address as far as anyone can tell: HubSpot looks closer."""


class Target(NamedTuple):
    """A record: of which object, and the property and value that it is found by."""

    kind: str
    field: str
    value: str

    def key(self) -> Target:
        """The same for values that HubSpot does not tell apart."""
        return self._replace(value=self.value.lower())


class Association(NamedTuple):
    """Where two records are connected, and the item of the request."""

    path: str
    item: Mapping[str, Any]


def contact_target(message: Mapping[str, Any], field: str) -> Target:
    """A contact, by the trait `field`, else by the e-mail address; raises `Refused` where there is neither."""
    context = message.get("context")
    inner = context.get("traits") if isinstance(context, dict) else None
    for place in (message.get("traits"), inner):
        value = place.get(field) if isinstance(place, dict) else None
        if scalar(value):
            break
    else:
        field, value = "email", look(message, "traits.email", "context.traits.email", "properties.email")
        if not scalar(value):
            raise Refused("missing_field", "neither the trait of lookup_field nor an e-mail address is there")
    target = Target(CONTACTS, field, values.text(value) or "")
    if field == "email":
        address(value)
    return target


def address(value: Any) -> None:
    """Raise `Refused` for what HubSpot refuses as an e-mail address."""
    if not isinstance(value, str) or not _ADDRESS.fullmatch(value.strip()):
        raise Refused("bad_field", "email is no e-mail address")


def row(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """The external id of a row, `{type: HS-<object>, identifierType, id}`; raises `Refused` where there is none."""
    for one in external_ids(message):
        kind = one.get("type")
        if isinstance(kind, str) and kind[:3].lower() == _PREFIX and len(kind) > len(_PREFIX):
            return one
    raise Refused("missing_field", "context.externalId has no entry of a type such as HS-contacts")


def row_target(found: Mapping[str, Any]) -> Target:
    """The record that a row is about; raises `Refused` where it names none."""
    field, value = found.get("identifierType"), found.get("id")
    if not isinstance(field, str) or not field or not scalar(value):
        raise Refused("missing_field", "context.externalId needs identifierType and id")
    return Target(_segment(found["type"]), field, values.text(value) or "")


def association(message: Mapping[str, Any], found: Mapping[str, Any]) -> Association | None:
    """What a row connects; None where it is about one record. Raises `Refused` where something is missing."""
    if "toObjectType" not in found and found["type"].lower() != "hs-association":
        return None
    kinds = [found.get("fromObjectType"), found.get("toObjectType")]
    kind = found.get("associationTypeId")
    if not all(isinstance(one, str) and one for one in kinds) or not scalar(kind):
        raise Refused("missing_field", "an association needs fromObjectType, toObjectType and associationTypeId")
    both = {"traits": traits(message), "row": found}
    ends = {
        "from": look(both, "traits.from.id", "row.fromObjectId", "row.id"),
        "to": look(both, "traits.to.id", "row.toObjectId"),
    }
    if not all(scalar(one) for one in ends.values()):
        raise Refused("missing_field", "an association needs from.id and to.id among its traits")
    path = f"/crm/v3/associations/{_segment(kinds[0])}/{_segment(kinds[1])}/batch/create"
    return Association(path, {**{end: {"id": one} for end, one in ends.items()}, "type": kind})


def _segment(kind: Any) -> str:
    """An object's name as part of a path, with and without `HS-`."""
    name = str(kind)
    name = name[len(_PREFIX):] if name[: len(_PREFIX)].lower() == _PREFIX else name
    if name in (".", "..") or not name:
        raise Refused("bad_field", "the type of an external id names no object")
    return quote(name, safe="", errors="replace")
