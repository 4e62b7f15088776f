"""How Intercom is asked to forget people.

Sources: https://developers.intercom.com/docs/references/2.10/rest-api/api.intercom.io/contacts/deletecontact and,
of version 1.4, `user_delete_requests`.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from destinations.intercom.contacts import search
from destinations.intercom.mapping import word
from turnout import Json, Request, Response, User, filtered
from turnout.paths import get

__all__ = ["UNKNOWN", "found", "lookup", "removal"]

UNKNOWN = filtered("Intercom has nobody with this userId or e-mail address")


def lookup(user: User, host: str, headers: Mapping[str, str], *, contacts: bool, anonymous: bool) -> Request | None:
    """The request that finds the user; None where nothing is known that Intercom knows people by."""
    ident = user.user_id or (user.anonymous_id if anonymous else "")
    if contacts:
        known = {name: value for name, value in (("email", user.email), ("external_id", ident)) if value}
        body = Json(search(known, "any").query)
        return Request("POST", f"{host}/contacts/search", body, headers) if known else None
    by = {"user_id": ident} if ident else {"email": user.email} if user.email else None
    return Request("GET", f"{host}/users", None, headers, by) if by else None


def found(answer: Response) -> list[str]:
    """Intercom's ids of all who were found."""
    told = answer.json()
    rows = get(told, "data", get(told, "users", None))
    listed = rows if isinstance(rows, list) else [told]
    return [word(one.get("id")) for one in listed if isinstance(one, dict) and word(one.get("id"))]


def removal(ident: str, host: str, headers: Mapping[str, str], *, contacts: bool) -> Request:
    """The request that deletes one of them for good."""
    if contacts:
        return Request("DELETE", f"{host}/contacts/{quote(ident, safe='')}", headers=headers)
    return Request("POST", f"{host}/user_delete_requests", Json({"intercom_user_id": ident}), headers)
