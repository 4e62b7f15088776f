"""Conversion actions and custom variables by their names: the uploads want resource names.

Source: https://developers.google.com/google-ads/api/rest/reference/rest/v23/customers.googleAds/searchStream and
https://developers.google.com/google-ads/api/docs/query/overview.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from turnout.paths import get
from vendors.google_ads.settings import Account

__all__ = ["ACTION", "VARIABLE", "Names", "Question", "found_in", "query"]

ACTION: Final = "conversion_action"
VARIABLE: Final = "conversion_custom_variable"
_JSON: Final = {ACTION: "conversionAction", VARIABLE: "conversionCustomVariable"}
_KEPT: Final = timedelta(hours=1)
_RESOURCE = re.compile(r"customers/[\w-]{1,64}/[A-Za-z]{1,64}/[\w~-]{1,64}")


class Question(NamedTuple):
    """Resources of one kind in an account, by name."""

    account: Account
    kind: str


def query(kind: str, names: Sequence[str]) -> str:
    """What is asked for: the resources with one of these names, and whose they are."""
    listed = ", ".join("'" + name.replace("\\", "\\\\").replace("'", "\\'") + "'" for name in names)
    fields = f"{kind}.name, {kind}.resource_name, {kind}.owner_customer"
    return f"SELECT {fields} FROM {kind} WHERE {kind}.name IN ({listed})"  # noqa: S608 -- GAQL; names are quoted above


def found_in(said: Any, kind: str, names: Sequence[str], account: Account) -> dict[str, str]:
    """Resource names by name. Of several with one name the account's own comes before its manager's.

    A row without a name is the answer to a question for one name.
    """
    found: dict[str, str] = {}
    own = f"customers/{account.customer}/"
    for part in said if isinstance(said, list) else [said]:
        rows = get(part, "results", None)
        for row in rows if isinstance(rows, list) else ():
            one = get(row, _JSON[kind], None)
            resource = get(one, "resourceName", None)
            if not isinstance(resource, str) or not _RESOURCE.fullmatch(resource):
                continue
            name = get(one, "name", None)
            if not isinstance(name, str):
                name = names[0] if len(names) == 1 else None
            if name in names and (name not in found or resource.startswith(own)):
                found[name] = resource
    return found


class Names:
    """What was found, for an hour: names of actions seldom change, and every question counts in Google's quota."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[tuple[Question, str], tuple[str, datetime]] = {}

    def known(self, question: Question, names: Iterable[str], now: datetime) -> dict[str, str]:
        """Those of the names that are known and not too old."""
        made = {}
        for name in names:
            row = self._known.get((question, name))
            if row is not None and now - row[1] < _KEPT:
                made[name] = row[0]
        return made

    def keep(self, question: Question, found: Mapping[str, str], now: datetime) -> None:
        """Remember; with very many accounts everything is forgotten first."""
        if len(self._known) > _MOST:
            self._known.clear()
        self._known.update({(question, name): (resource, now) for name, resource in found.items()})


_MOST: Final = 10_000
