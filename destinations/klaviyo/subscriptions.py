"""Who is subscribed to which list, for which channels: bulk jobs of Klaviyo, one profile in each to begin with.

Source: https://developers.klaviyo.com/en/reference/bulk_subscribe_profiles,
https://developers.klaviyo.com/en/reference/bulk_unsubscribe_profiles and, for v1,
https://developers.klaviyo.com/en/v2023-02-22/reference/subscribe_profiles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from turnout.errors import Refused

__all__ = ["CHANNELS", "CREATE", "DELETE", "channels", "job", "listed", "merged", "old_job"]

CREATE: Final = "profile-subscription-bulk-create-job"
DELETE: Final = "profile-subscription-bulk-delete-job"
CHANNELS: Final = ("email", "sms")
_NEEDS: Final = {"email": "email", "sms": "phone_number"}


def channels(value: Any, default: Sequence[str]) -> Sequence[str]:
    """Those that an event names, one or a list of them; else the setting's. What is no channel does not count."""
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, list) or not given:
        return default
    named = {one.strip().lower() for one in given if isinstance(one, str)}
    return [one for one in CHANNELS if one in named]


def job(
    who: Mapping[str, Any], known: str | None, group: str, consent: Sequence[str], kind: str, *, told: bool
) -> dict[str, Any]:
    """A job for one profile; `told` says for which channels, which only v3 reads when it unsubscribes.

    `known` is Klaviyo's own id of the profile, by which it is found to be subscribed.
    """
    made = _reached(who, consent)
    profile: dict[str, Any] = {"type": "profile", "attributes": made}
    if known and kind == CREATE:
        profile["id"] = known
    if consent and told:
        said = "SUBSCRIBED" if kind == CREATE else "UNSUBSCRIBED"
        made["subscriptions"] = {one: {"marketing": {"consent": said}} for one in consent if _NEEDS[one] in made}
    return {"data": {
        "type": kind,
        "attributes": {"profiles": {"data": [profile]}},
        "relationships": {"list": {"data": {"type": "list", "id": group}}},
    }}  # fmt: skip


def old_job(who: Mapping[str, Any], group: str, consent: Sequence[str]) -> dict[str, Any]:
    """The same for v1, which can only subscribe."""
    made = _reached(who, consent)
    if consent:
        made["channels"] = {one: ["MARKETING"] for one in consent if _NEEDS[one] in made}
    return {"data": {"type": CREATE, "attributes": {"list_id": group, "subscriptions": [made]}}}


def listed(body: Mapping[str, Any]) -> str:
    """The list of a job."""
    data = body["data"]
    found = data["relationships"]["list"]["data"]["id"] if "relationships" in data else data["attributes"]["list_id"]
    return str(found)


def merged(bodies: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One job for the profiles of several, which are for the same list."""
    data = bodies[0]["data"]
    given = [body["data"]["attributes"] for body in bodies]
    if "relationships" in data:
        profiles = [one for each in given for one in each["profiles"]["data"]]
        return {"data": {**data, "attributes": {"profiles": {"data": profiles}}}}
    whole = [one for each in given for one in each["subscriptions"]]
    return {"data": {**data, "attributes": {**data["attributes"], "subscriptions": whole}}}


def _reached(who: Mapping[str, Any], consent: Sequence[str]) -> dict[str, Any]:
    """Where someone can be reached; raises Refused where that is nowhere, or by none of the channels."""
    made = {name: who[name] for name in _NEEDS.values() if name in who}
    if not made:
        raise Refused("missing_field", "a subscription needs an e-mail address or a phone number")
    if consent and not any(_NEEDS[one] in made for one in consent):
        needed = "a phone number" if "sms" in consent else "an e-mail address"
        raise Refused("missing_field", f"a subscription for {' and '.join(consent)} needs {needed}")
    return made
