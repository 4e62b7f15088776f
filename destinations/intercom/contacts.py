"""How a contact is searched, and what an answer says of it.

Source: https://developers.intercom.com/docs/references/2.10/rest-api/api.intercom.io/contacts/searchcontacts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

from destinations.intercom.mapping import word
from turnout import Response
from turnout.lookups import traits
from turnout.paths import get

__all__ = ["Search", "named_in", "picked", "search", "searched"]

_FIELDS: Final = frozenset({"email", "external_id", "name", "phone"})
_IDS: Final = frozenset({"userId", "user_id", "external_id"})
_CONFLICT: Final = re.compile(r"\bid=(\w+)", re.ASCII)


class Search(NamedTuple):
    """The body of a search, and what a contact that is made because nobody is found has to have beside."""

    query: Mapping[str, Any]
    extra: Mapping[str, str] = {}


def search(known: Mapping[str, str], match: Literal["any", "email", "all"]) -> Search:
    """A search by these fields: by any of them, by all, or by the e-mail address alone where there is one."""
    if match == "email" and known.get("email"):
        known = {"email": known["email"]}
    operator = "OR" if len(known) > 1 and match != "all" else "AND"
    wanted = [{"field": name, "operator": "=", "value": value} for name, value in known.items()]
    return Search({"query": {"operator": operator, "value": wanted}})


def searched(
    message: Mapping[str, Any], ident: str, email: str, lookup: Any, match: Literal["any", "email"]
) -> Search:
    """The search for an identify: by the field that its integrations object names, if it has a value."""
    if isinstance(lookup, str) and lookup:
        given = traits(message)
        if lookup in _IDS:
            field, value = "external_id", word(given.get(lookup)) or ident
        elif lookup in _FIELDS:
            field, value = lookup, word(given.get(lookup))
        else:
            lookup = lookup.removeprefix("custom_attributes.")
            field, value = f"custom_attributes.{lookup}", word(given.get(lookup))
        if value:
            extra = {field: value} if field == "external_id" else {}
            return Search(search({field: value}, "all").query, extra)
    known = {name: value for name, value in (("email", email), ("external_id", ident)) if value}
    return search(known, match)


def picked(answer: Response, ident: str) -> str:
    """Intercom's id of the contact that was found, of several the one with this userId; "" where nobody was."""
    data = get(answer.json(), "data", None)
    rows = [one for one in data if isinstance(one, dict) and word(one.get("id"))] if isinstance(data, list) else []
    if not rows:
        return ""
    return word(next((one for one in rows if ident and one.get("external_id") == ident), rows[0])["id"])


def named_in(answer: Response) -> str:
    """Of a 409, the contact that is there already, which a search a moment ago did not know; "" else.

    One that is archived is not meant: only a person may bring it back.
    """
    if answer.status != 409:
        return ""
    said = get(answer.json(), "errors[0].message", None)
    if not isinstance(said, str) or "archived" in said.lower():
        return ""
    found = _CONFLICT.search(said)
    return found[1] if found else ""
