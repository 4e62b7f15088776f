"""Users, deleted from a property with the Admin API.

Source: https://developers.google.com/analytics/devguides/config/admin/v1/rest/v1alpha/properties/submitUserDeletion.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

from turnout import Json, OAuth2, Outcome, Request, Response, User, Verdict, codec, filtered, retry
from turnout.auth import bearer, token_of, token_request
from turnout.destination import UNSENT, Exchange, worst
from turnout.errors import Fixable, Refused

__all__ = ["account", "deletion"]

TOKENS: Final = "https://oauth2.googleapis.com/token"
SCOPE: Final = "https://www.googleapis.com/auth/analytics.edit"
ADMIN: Final = "https://analyticsadmin.googleapis.com/v1alpha/properties"


def account(key: str) -> OAuth2:
    """The credentials of a service account's key, a JSON document; raises `Fixable` for what is none."""
    try:
        said = codec.loads(key.encode())
    except Refused:
        said = None
    found = said if isinstance(said, dict) else {}
    email, private = found.get("client_email"), found.get("private_key")
    if not (isinstance(email, str) and isinstance(private, str) and email and private):
        raise Fixable("service_account: must be the JSON key of a service account, with client_email and private_key")
    return OAuth2(TOKENS, email, grant="jwt_bearer", private_key=private, scope=SCOPE)


def deletion(
    users: Sequence[User], auth: OAuth2, where: str, now: datetime, judge: Callable[[Response], Verdict], *, web: bool
) -> Exchange:
    """A call for each id: the userId, and on a website the anonymousId, which is the client id.

    After an answer that is not final nothing more is asked.
    """
    wanted = [_ids(user, web=web) for user in users]
    if not any(wanted):
        return [filtered("no id that Google knows")] * len(users)
    answer = yield token_request(auth, now)
    assert answer is not None
    token = token_of(answer, now)
    if isinstance(token, Verdict):
        return [token] * len(users)
    found: list[Verdict] = []
    stop: Verdict | None = None
    for ids in wanted:
        verdict = stop
        for body in ids if stop is None else ():
            request = Request("POST", f"{ADMIN}/{where}:submitUserDeletion", Json(body))
            response = yield bearer(auth, request, token)
            assert response is not None
            answered = judge(response)
            verdict = worst(verdict, answered)
            if not answered.final:
                pausing = answered.outcome is Outcome.PAUSE
                reason = f"{UNSENT}{answered.reason}"
                stop = Verdict(Outcome.PAUSE, reason) if pausing else retry(reason, after=answered.after)
                break
        found.append(verdict or filtered("no id that Google knows"))
    return found


def _ids(user: User, *, web: bool) -> list[dict[str, Any]]:
    ids = [{"userId": user.user_id}] if user.user_id else []
    instance = user.traits.get("ga4AppInstanceId")
    if web and user.anonymous_id:
        ids.append({"clientId": user.anonymous_id})
    elif not web and isinstance(instance, str) and instance:
        ids.append({"appInstanceId": instance})
    return ids
