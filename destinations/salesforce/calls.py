"""The calls of the REST API that an adapter makes, and what an event is to become of them. Pure.

Source: REST API Developer Guide, "sObject Rows", "sObject Rows by External ID", "sObject Collections", "Query",
"Parameterized Search".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import quote

from turnout import Json, Request
from turnout.errors import Refused
from turnout.values import text
from vendors.salesforce import soql

__all__ = ["MOST", "Api", "Row", "Way", "Write", "folded", "record", "segment"]

MOST: Final = 200
"""Records in a collection."""
LEAD: Final = ("IsConverted", "ConvertedContactId")
_WILD: Final = re.compile(r"[*?\\]")
_PATCH: Final[Mapping[str, str]] = {"_HttpMethod": "PATCH"}
Way = Literal["create", "update", "upsert", "delete"]


@dataclass(frozen=True, slots=True)
class Write:
    """What an event asks for: a record of an object, known by its id, by an external id, or to be found.

    `find` are the fields to find it by, `key` their values; `fresh` what only a new record gets; `contact`
    makes what the contact gets that a lead has become; `one` that there must not be several.
    """

    object: str
    fields: Mapping[str, Any]
    id: str = ""
    external: str = ""
    find: tuple[str, ...] = ()
    key: tuple[Any, ...] = ()
    fresh: Mapping[str, Any] = field(default_factory=dict)
    contact: Callable[[], Mapping[str, Any]] | None = None
    delete: bool = False
    one: bool = True

    @property
    def target(self) -> tuple[Any, ...]:
        """Equal for events about one record; Salesforce compares texts without case."""
        return self.object.lower(), self.id, self.external, self.find, folded(self.key)


@dataclass(frozen=True, slots=True)
class Row:
    """A record as it is to be written."""

    way: Way
    object: str
    fields: Mapping[str, Any]
    id: str = ""
    external: str = ""
    value: str = ""

    @property
    def group(self) -> tuple[str, str, str]:
        """Rows of one group travel together; a record is deleted by its id, whatever it is."""
        return self.way, "" if self.way == "delete" and self.id else self.object, self.external


def folded(key: Sequence[Any]) -> tuple[str, ...]:
    """Values as Salesforce compares them: without case, and numbers as their text."""
    return tuple((text(one) or "").casefold() for one in key)


class Api:
    """Makes the requests. `base` is "" where the login says where the org lives."""

    def __init__(self, base: str, version: str, lookup: str, *, duplicates: bool) -> None:
        self.root = f"{base}/services/data/v{version}"
        self.base = base
        self.many = lookup == "query"
        self._headers = {"Sforce-Duplicate-Rule-Header": "allowSave=true"} if duplicates else {}

    # Looking up

    def look(self, asked: Write, keys: Sequence[Sequence[Any]]) -> Request:
        """Asks for the records of an object with one of the keys: of one write, or of others that are like it."""
        return self.query(asked, keys) if self.many else self._searched(asked)

    def query(self, asked: Write, keys: Sequence[Sequence[Any]]) -> Request:
        """Asks by SOQL."""
        wanted = ("Id", *asked.find, *(LEAD if asked.object == "Lead" else ()))
        query = soql.select(asked.object, wanted, soql.where(asked.find, keys))
        return Request("GET", f"{self.root}/query/", params={"q": query})

    def more(self, path: str) -> Request | None:
        """The next page of a query; None for what is no address of one."""
        return Request("GET", self.base + path) if re.fullmatch(r"/services/data/v[\d.]+/query/[\w-]+", path) else None

    def _searched(self, asked: Write) -> Request:
        """One value in the search index. It may match more than was asked: its wildcards mean themselves."""
        value = _WILD.sub(r"\\\g<0>", text(asked.key[0]) or "")
        params = {"q": value, "sobject": asked.object}
        if asked.one:
            params |= {"in": asked.find[0], f"{asked.object}.fields": f"id,{asked.find[0]}"}
        else:
            more = "".join(f",{one}" for one in (*LEAD, "IsDeleted")) if asked.object == "Lead" else ""
            params[f"{asked.object}.fields"] = f"id{more}"
        return Request("GET", f"{self.root}/parameterizedSearch/", params=params)

    # Writing

    def single(self, row: Row) -> Request:
        """One record with a call of its own."""
        place = f"{self.root}/sobjects/{row.object}"
        if row.way == "create":
            return Request("POST", place, Json(row.fields), self._headers)
        if row.external:
            place = f"{place}/{row.external}/{quote(row.value, safe='', errors='replace')}"
            if row.way == "delete":
                return Request("DELETE", place)
            return Request("PATCH", place, Json(_less(row.fields, row.external)), self._headers)
        place = f"{place}/{quote(row.id, safe='', errors='replace')}"
        if row.way == "delete":
            return Request("DELETE", place)
        return Request("POST", place, Json(row.fields), self._headers, _PATCH)

    def collection(self, rows: Sequence[Row]) -> Request:
        """Records of one group with one call; what is wrong with one leaves the others as they are."""
        first, place = rows[0], f"{self.root}/composite/sobjects"
        if first.way == "delete":
            return Request("DELETE", place, params={"ids": ",".join(row.id for row in rows), "allOrNone": "false"})
        records = [record(row) for row in rows]
        body = Json({"allOrNone": False, "records": records})
        if first.way == "upsert":
            return Request("PATCH", f"{place}/{first.object}/{first.external}", body, self._headers)
        return Request("POST" if first.way == "create" else "PATCH", place, body, self._headers)


def record(row: Row) -> dict[str, Any]:
    """A record in a collection; `attributes` names its object, and nothing else in it can."""
    return {"attributes": {"type": row.object}, **({"id": row.id} if row.id else {}), **row.fields}


def _less(fields: Mapping[str, Any], name: str) -> dict[str, Any]:
    low = name.lower()
    return {key: value for key, value in fields.items() if key.lower() != low}


def segment(value: Any) -> str:
    """An id as one part of an address; raises `Refused` for what cannot be one."""
    found = text(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None
    if not found or len(found) > soql.LONGEST or not found.strip("."):
        raise Refused("bad_id", f"an id is a text or a number of at most {soql.LONGEST} characters, and not dots alone")
    return found
