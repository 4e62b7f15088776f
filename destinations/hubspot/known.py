"""What HubSpot is asked before anything is written, and what it answered.

Source: https://developers.hubspot.com/docs/api-reference/crm-properties-v3/guide and
https://developers.hubspot.com/docs/api-reference/search/guide (100 values, 3,000 characters of a search).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from destinations.hubspot.rows import Target
from turnout import Verdict, codec
from turnout.paths import get

__all__ = ["ADDITIONAL", "Found", "Known", "next_page", "pages", "read_search", "search", "types_of", "unique_of"]

ADDITIONAL: Final = "hs_additional_emails"
_VALUES = 100
_CHARACTERS = 2_600
"""Of the values of a search, whose body may have 3,000 characters: what is around them has fewer than 400."""


@dataclass(slots=True)
class Found:
    """Records with a value; `own` is False where it is only among the further e-mail addresses of a contact."""

    ids: list[str] = field(default_factory=list)
    own: bool = True


@dataclass(slots=True)
class Known:
    """`types` of contacts' properties, None where nothing is known of them; by object which are unique; records.

    `trouble` is why an object or a record could not be asked for, `refused` why nothing could.
    """

    types: Mapping[str, str] | None = None
    unique: dict[str, frozenset[str]] = field(default_factory=dict)
    records: dict[Target, Found] = field(default_factory=dict)
    trouble: dict[str | Target, Verdict] = field(default_factory=dict)
    refused: Verdict | None = None

    def why_not(self, target: Target) -> Verdict | None:
        """Why a record cannot be written now; None where it can."""
        return self.refused or self.trouble.get(target.kind) or self.trouble.get(target.key())


def _definitions(said: Any) -> list[Mapping[str, Any]]:
    """Rows of an answer about properties: a list, or one under `results`."""
    rows = said if isinstance(said, list) else get(said, "results", None)
    return [one for one in rows if isinstance(one, dict)] if isinstance(rows, list) else []


def types_of(said: Any) -> dict[str, str]:
    """Names of properties and their types."""
    return {
        one["name"]: one["type"] for one in _definitions(said)
        if isinstance(one.get("name"), str) and isinstance(one.get("type"), str)
    }


def unique_of(said: Any) -> frozenset[str] | None:
    """Properties whose value only one record has; None where no row says whether its own is."""
    rows = [one for one in _definitions(said) if isinstance(one.get("hasUniqueValue"), bool)]
    return frozenset(str(one.get("name")) for one in rows if one["hasUniqueValue"]) if rows else None


def search(field: str, values: Sequence[str], after: str = "") -> dict[str, Any]:
    """The body of a search for records with one of these values; contacts are found by further addresses too.

    The values of a search must be in lower case.
    """
    fields = [field, ADDITIONAL] if field == "email" else [field]
    asked = {"operator": "IN", "values": list(values)}
    body: dict[str, Any] = {
        "filterGroups": [{"filters": [{"propertyName": one, **asked}]} for one in fields],
        "properties": fields,
        "limit": _VALUES,
    }
    return {**body, "after": after} if after else body


def pages(field: str, values: Iterable[str]) -> Iterator[list[str]]:
    """The values in parts that one search takes."""
    part: list[str] = []
    room = _CHARACTERS // (2 if field == "email" else 1)
    size = 0
    for value in values:
        more = len(codec.dumps(value)) + 1
        if part and (len(part) >= _VALUES or size + more > room):
            yield part
            part, size = [], 0
        part.append(value)
        size += more
    if part:
        yield part


def read_search(said: Any, kind: str, field: str, values: Sequence[str], into: dict[Target, Found]) -> None:
    """Note the records of a page of results by the value that they were found by.

    Where one value was asked for, what was found has it, however HubSpot writes it.
    """
    rows = get(said, "results", [])
    for one in rows if isinstance(rows, list) else ():
        ident = get(one, "id", None)
        if not isinstance(ident, str | int) or isinstance(ident, bool):
            continue
        properties = get(one, "properties", {})
        held = properties if isinstance(properties, dict) else {}
        own = str(held.get(field) or "").lower()
        more = str(held.get(ADDITIONAL) or "").lower().split(";")
        met = [value for value in values if value == own]
        others = [] if met or field != "email" else [value for value in values if value in more]
        for value in met or others or (values if len(values) == 1 else ()):
            found = into.setdefault(Target(kind, field, value), Found())
            found.ids.append(str(ident))
            found.own = found.own and not others


def next_page(said: Any) -> str:
    """Where a search goes on; "" where it does not."""
    after = get(said, "paging.next.after", "")
    return str(after) if isinstance(after, str | int) else ""
