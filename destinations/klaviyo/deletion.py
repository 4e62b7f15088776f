"""A person is forgotten: Klaviyo deletes the profiles of an address, a number, or its own id.

Source: https://developers.klaviyo.com/en/reference/request_profile_deletion (one identifier in a call) and
https://developers.klaviyo.com/en/reference/get_profiles (the filter).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any

from destinations.klaviyo.profile import word
from turnout import Json, Request, Response, Verdict, dead, filtered
from turnout.user import User

__all__ = ["forgotten"]

Asked = Generator[Request, Response | None, Verdict]


def forgotten(user: User, api: str, headers: Mapping[str, str], judge: Callable[[Response], Verdict]) -> Asked:
    """Ask for the deletion of one person; who is known by userId only is looked up first."""
    phone = word(user.traits.get("phone"))
    if user.email or phone:
        named = {"email": user.email} if user.email else {"phone_number": phone}
        return (yield from _deleted({"attributes": named}, api, headers, judge))
    ident = user.user_id
    if not ident or not ident.isprintable() or any(one in ident for one in '"\\'):
        return filtered("no e-mail address, phone number or userId that Klaviyo can look up")
    asked = {"filter": f'equals(external_id,"{ident}")', "fields[profile]": "external_id"}
    response = yield Request("GET", f"{api}/profiles", None, headers, asked)
    assert response is not None
    if response.status != 200:
        return judge(response)
    said = response.json()
    rows = said.get("data") if isinstance(said, Mapping) else None
    if not isinstance(rows, list):
        return dead("HTTP 200 without a list of profiles", 200)
    verdict = filtered("no such profile")
    for row in rows:
        known = row.get("id") if isinstance(row, Mapping) else None
        if isinstance(known, str):
            verdict = yield from _deleted({"id": known}, api, headers, judge)
            if verdict.outcome != "delivered":
                break
    return verdict


def _deleted(
    named: Mapping[str, Any], api: str, headers: Mapping[str, str], judge: Callable[[Response], Verdict]
) -> Asked:
    profile = {"data": {"type": "profile", **named}}
    body = {"data": {"type": "data-privacy-deletion-job", "attributes": {"profile": profile}}}
    response = yield Request("POST", f"{api}/data-privacy-deletion-jobs", Json(body), headers)
    assert response is not None
    return judge(response)
