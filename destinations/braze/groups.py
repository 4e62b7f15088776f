"""Subscription groups: the state of one user in one group.

Source: https://www.braze.com/docs/api/endpoints/subscription_groups/post_update_user_subscription_group_status_v2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from destinations.braze.mapping import external, word
from turnout.errors import Refused

__all__ = ["subscription"]

_STATES: Final = frozenset({"subscribed", "unsubscribed"})


def subscription(message: Mapping[str, Any], group: str) -> dict[str, Any]:
    """An entry of `subscription_groups`; raises `Refused` without a state, or a way to find the user."""
    given = message.get("traits")
    given = given if isinstance(given, dict) else {}
    state = given.get("subscriptionState")
    if not isinstance(state, str) or state not in _STATES:
        raise Refused("bad_field", "traits.subscriptionState is neither subscribed nor unsubscribed")
    made: dict[str, Any] = {"subscription_group_id": group, "subscription_state": state}
    if ident := external(message, group=True):
        made["external_ids"] = [ident]
    # Braze does not take both. A group of text messages is found by nothing but a number, so that comes first.
    if phone := word(given.get("phone")):
        made["phones"] = [phone]
    elif email := word(given.get("email")):
        made["emails"] = [email]
    if len(made) == 2:
        raise Refused("missing_field", "userId, traits.phone or traits.email is missing")
    return made
