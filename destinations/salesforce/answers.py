"""What Salesforce answers to queries and collections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from turnout import Response, Verdict, delivered, per_item
from vendors.salesforce import errors

__all__ = ["ids", "page", "rows"]


def page(response: Response) -> tuple[list[Mapping[str, Any]], str] | None:
    """Records of a query or search, and where the next page is; None for what is no answer to one."""
    if response.status != 200 or response.cut:
        return None
    said = response.json()
    if not isinstance(said, dict):
        return None
    listed = said.get("records", said.get("searchRecords"))
    following = said.get("nextRecordsUrl")
    if not isinstance(listed, list):
        return None
    return [one for one in listed if isinstance(one, dict)], following if isinstance(following, str) else ""


def ids(response: Response, *, alone: bool) -> list[str]:
    """The ids of records that were made, in order; "" where one was not."""
    said = response.json()
    rows = [said] if alone else said
    if not isinstance(rows, list):
        return []
    return [one["id"] if isinstance(one, dict) and isinstance(one.get("id"), str) else "" for one in rows]


def rows(response: Response, count: int, *, delete: bool) -> list[Verdict]:
    """A verdict for each record of a collection, in order; what is to be deleted and is not there is gone."""
    said = response.json()
    listed = said if isinstance(said, list) else [None]  # no row for any of them: nobody knows
    return per_item(listed, count, _gone if delete else _row, index="", rest=delivered(200))


def _row(row: Mapping[str, Any]) -> Verdict:
    return delivered(200) if row.get("success") is True else errors.row_verdict(row)


def _gone(row: Mapping[str, Any]) -> Verdict:
    return delivered(200) if errors.gone(row) else _row(row)
