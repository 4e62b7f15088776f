"""How Mixpanel is asked to forget people: their profiles, or a task that takes the events too.

Sources: https://docs.mixpanel.com/reference/delete-profile and https://docs.mixpanel.com/reference/gdpr-api.
"""

from __future__ import annotations

from collections.abc import Sequence

from destinations.mixpanel.settings import MixpanelSettings
from turnout import Json, JsonArray, Request, filtered
from turnout.user import User

__all__ = ["MOST", "UNKNOWN", "deletion", "ids"]

MOST = 1000
"""People in a call: with two ids each they are the 2,000 that either API takes."""
UNKNOWN = filtered("no userId or anonymousId, by which Mixpanel knows people")
_APPS = {"us": "mixpanel.com", "eu": "eu.mixpanel.com", "in": "in.mixpanel.com"}


def ids(user: User, *, simplified: bool) -> list[str]:
    """Whom Mixpanel may know this person as; [] where only the e-mail address is known."""
    device = f"$device:{user.anonymous_id}" if simplified and user.anonymous_id else user.anonymous_id
    return [one for one in (user.user_id, device) if one]


def deletion(settings: MixpanelSettings, engage: str, known: Sequence[str]) -> Request:
    """One request that has these ids deleted, the way the settings say."""
    token = settings.token.get_secret_value()
    if settings.user_deletion_api == "task" and settings.gdpr_api_token is not None:
        return Request(
            "POST", f"https://{_APPS[settings.data_residency]}/api/app/data-deletions/v3.0/",
            Json({"distinct_ids": list(known), "compliance_type": settings.compliance_type}),
            {"Authorization": f"Bearer {settings.gdpr_api_token.get_secret_value()}"}, {"token": token},
        )
    updates = [
        Json({"$token": token, "$distinct_id": one, "$delete": None, "$ignore_alias": True}) for one in known
    ]
    return Request("POST", engage, JsonArray.of(updates), params={"verbose": "2"})
