"""What Braze knows of users already, so that only attributes that change are sent.

Source: https://www.braze.com/docs/api/endpoints/export/user_data/post_users_identifier.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from destinations.braze.batches import TRACKED
from destinations.braze.mapping import IDENTIFIERS
from turnout import Json, Record, Request, Verdict, filtered

__all__ = ["Profiles"]

MOST: Final = 50
"""Users of a kind in one export."""
_FIELDS: Final = ("dob", "email", "first_name", "gender", "home_city", "last_name", "phone", "time_zone")
_ASKED: Final = ["created_at", "custom_attributes", *_FIELDS, "external_id", "user_aliases"]
_UNBILLED: Final = frozenset({
    "country", "language", "image_url", "current_location", "date_of_first_session", "date_of_last_session",
    "email_subscribe", "push_subscribe", "push_tokens", "subscription_groups", "subscription_status",
})  # fmt: skip
"""Fields of a profile that cost no data point: sent as they are."""
_WHO: Final = IDENTIFIERS | {"_merge_objects"}
_OPERATIONS: Final = frozenset({"add", "remove", "update", "inc", "$add", "$remove", "$update"})
_DEEPEST: Final = 50
Key = tuple[str, ...]
Made = list[Request] | Record | Verdict


class Profiles:
    """Profiles of the users of one exchange, kept true while its events are looked at in their order."""

    def __init__(self) -> None:
        self._known: dict[Key, dict[str, Any]] = {}
        self._linked: set[tuple[str, Key]] = set()

    @staticmethod
    def asks(made: Iterable[Made]) -> Iterator[Mapping[str, Any]]:
        """The bodies of the exports that tell of all users whose attributes are to be sent."""
        users: dict[str, None] = {}
        aliases: dict[Key, None] = {}
        for item in _attributes(made):
            key = _key(item)
            if len(key) == 1:
                users[key[0]] = None
            elif key:
                aliases[key] = None
        names, others = list(users), [{"alias_name": name, "alias_label": label} for label, name in aliases]
        for start in range(0, max(len(names), len(others)), MOST):
            found = {"external_ids": names[start : start + MOST], "user_aliases": others[start : start + MOST]}
            yield {**{name: ids for name, ids in found.items() if ids}, "fields_to_export": _ASKED}

    def read(self, told: Any) -> None:
        """Take in the answer to one of them."""
        users = told.get("users") if isinstance(told, Mapping) else None
        for user in users if isinstance(users, list) else ():
            if not isinstance(user, Mapping):
                continue
            custom = user.get("custom_attributes")
            known = {**custom} if isinstance(custom, Mapping) else {}
            known.update({name: user[name] for name in _FIELDS if user.get(name) is not None})
            ident = user.get("external_id")
            if isinstance(ident, str):
                self._known[(ident,)] = known
            names = user.get("user_aliases")
            for one in names if isinstance(names, list) else ():
                key = _key({"user_alias": one})
                if key:
                    self._known.setdefault(key, known)
                    if isinstance(ident, str):
                        self._linked.add((ident, key))

    def reduced(self, made: Made) -> Made:
        """Requests without what Braze has: equal attributes, aliases that belong to the user already."""
        if not isinstance(made, list):
            return made
        left = [one for request in made if (one := self._request(request)) is not None]
        return left or filtered("Braze has all of it already (deduplicate)")

    def _request(self, request: Request) -> Request | None:
        body = request.body.value if isinstance(request.body, Json) else None
        if not isinstance(body, dict):
            return request
        if "aliases_to_identify" in body:
            return None if self._links(body["aliases_to_identify"][0]) else request
        if "attributes" not in body:
            return request
        items = [one for item in body["attributes"] if (one := self._fresh(item))]
        rest = {name: value for name, value in body.items() if name != "attributes"}
        if items:
            rest["attributes"] = items
        if not any(name in rest for name in TRACKED):
            return None
        return Request(request.method, request.url, Json(rest))

    def _links(self, item: Mapping[str, Any]) -> bool:
        """Whether an alias is the user's; from now on it is."""
        link = (item["external_id"], _key({"user_alias": item["user_alias"]}))
        known = link in self._linked
        self._linked.add(link)
        return known

    def _fresh(self, item: Mapping[str, Any]) -> dict[str, Any] | None:
        """What of an item changes its profile, which then has it; None where nothing does."""
        key = _key(item)
        if not key:
            return {**item}
        known = self._known.setdefault(key, {})
        made: dict[str, Any] = {}
        merges = item.get("_merge_objects") is True
        for name, value in item.items():
            if name in _WHO:
                continue
            if name in _UNBILLED:
                made[name] = value
            elif isinstance(value, dict) and (merges or (value and value.keys() <= _OPERATIONS)):
                made[name] = value
                known.pop(name, None)  # what it comes to is known to Braze alone
            elif value is None:
                if known.pop(name, None) is not None:
                    made[name] = None
            elif name not in known or not _same(known[name], value):
                made[name] = known[name] = value
        if not made:
            return None
        return {**made, **{name: item[name] for name in _WHO if name in item}}


def _attributes(made: Iterable[Made]) -> Iterator[Mapping[str, Any]]:
    for requests in made:
        for request in requests if isinstance(requests, list) else ():
            body = request.body.value if isinstance(request.body, Json) else None
            yield from body.get("attributes", ()) if isinstance(body, dict) else ()


def _key(item: Mapping[str, Any]) -> Key:
    """`(external_id,)` or `(label, name)` of an item; () where it is found by something else."""
    ident = item.get("external_id")
    if isinstance(ident, str):
        return (ident,)
    alias = item.get("user_alias")
    if isinstance(alias, Mapping):
        label, name = alias.get("alias_label"), alias.get("alias_name")
        if isinstance(label, str) and isinstance(name, str):
            return label, name
    return ()


def _same(one: Any, other: Any, depth: int = 0) -> bool:
    """Equal as JSON: true is not 1, 1.0 is 1. What is nested deeper than anybody means counts as changed."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if depth > _DEEPEST:
        return False
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(_same(a, b, depth + 1) for a, b in zip(one, other, strict=True))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(it, other[name], depth + 1) for name, it in one.items())
    return bool(one == other)
