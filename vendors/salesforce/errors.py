"""What Salesforce's error codes mean: of a whole answer, and of a record in an answer that has many.

A REST error is a list `[{"errorCode", "message", "fields"}]`; a record's errors in a collection have
`statusCode` in its place. Source: REST API Developer Guide, "Status Codes and Error Responses"; Object Reference,
"API Error Codes" (StatusCode and ExceptionCode).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal

from turnout.request import Response
from turnout.rules import Rule, decide_item
from turnout.verdict import Verdict, dead, retry

__all__ = ["ROWS", "RULES", "code_of", "gone", "refusal", "row_verdict"]

_CODE: Final = re.compile(r"[A-Z][A-Z0-9_]{2,80}")
_FIELD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,80}")
_TRIGGER: Final = ("too many soql", "unable_to_lock_row", "unable to obtain exclusive access", "apex cpu time limit")
"""In the message of a trigger that failed since others were at work; sent again it mostly does not."""

_GONE: Final = ("ENTITY_IS_DELETED", "INVALID_CROSS_REFERENCE_KEY", "NOT_FOUND")

Outcome = Literal["throttle", "retry", "pause", "dead"]
MEANINGS: Final[tuple[tuple[Outcome, str, tuple[str, ...]], ...]] = (
    ("throttle", "the org has used up its API requests, of a day or at once", ("REQUEST_LIMIT_EXCEEDED",)),
    ("throttle", "Salesforce is not available for a while", ("SERVER_UNAVAILABLE",)),
    ("retry", "others write the same record, or its parent", ("UNABLE_TO_LOCK_ROW",)),
    ("retry", "the org took too long", ("QUERY_TIMEOUT", "OPERATION_TOO_LARGE", "UNKNOWN_EXCEPTION")),
    ("retry", "the session ended", ("INVALID_SESSION_ID",)),
    ("pause", "the org does not let its API be used", ("API_DISABLED_FOR_ORG", "API_CURRENTLY_DISABLED", "ORG_LOCKED")),
    ("pause", "the org's storage is full", ("STORAGE_LIMIT_EXCEEDED",)),
    ("dead", "a duplicate rule of the org forbids it", ("DUPLICATES_DETECTED",)),
    ("dead", "another record has this value", ("DUPLICATE_VALUE", "DUPLICATE_EXTERNAL_ID")),
    ("dead", "the lead is converted, and use_contact_id is off", ("CANNOT_UPDATE_CONVERTED_LEAD",)),
    ("dead", "there is no such record any more", ("ENTITY_IS_DELETED", "NOT_FOUND")),
)  # fmt: skip
SENTENCES: Final[Mapping[str, str]] = {
    "REQUIRED_FIELD_MISSING": "a field that must be there is missing",
    "STRING_TOO_LONG": "a text is longer than its field",
    "INVALID_EMAIL_ADDRESS": "the e-mail address is none",
    "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST": "a value is not on its field's picklist",
    "FIELD_CUSTOM_VALIDATION_EXCEPTION": "a validation rule of the org says no",
    "FIELD_INTEGRITY_EXCEPTION": "a value does not fit its field",
    "INVALID_FIELD": "the object has no such field, or this user may not see it",
    "INVALID_FIELD_FOR_INSERT_UPDATE": "this user may not write one of the fields",
    "INVALID_TYPE": "there is no such object, or this user may not see it",
    "INVALID_CROSS_REFERENCE_KEY": "an id is that of no record",
    "MALFORMED_ID": "an id is none",
    "NUMBER_OUTSIDE_VALID_RANGE": "a number is too large for its field",
    "JSON_PARSER_ERROR": "a value is of another type than its field",
    "INSUFFICIENT_ACCESS_OR_READONLY": "this user may not write the record",
    "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY": "this user may not write a record that it names",
}
"""Of codes that end an event, those that are met most; any other is told by its code alone."""

AFTER: Final = {"REQUEST_LIMIT_EXCEEDED": 300.0, "UNABLE_TO_LOCK_ROW": 5.0}
"""Seconds before the next attempt, where the answer does not say."""


def _table(path: str, status: Any) -> tuple[Rule, ...]:
    return tuple(
        Rule(outcome, reason, status=status, path=path, values=codes, after=AFTER.get(codes[0]))
        for outcome, reason, codes in MEANINGS
    )


RULES: Final = (
    # Any 401 is the house's: the engine has asked for a new session before an adapter sees a second one.
    *_table("[*].errorCode", (*range(300, 401), *range(402, 600))),
    Rule("dead", "several records have this external id", status=300),
)
"""For an answer as a whole."""
ROWS: Final = _table("errors[*].statusCode", 200)
"""For a record's place in the answer to a collection, `{"success": false, "errors": […]}`."""


def code_of(response: Response) -> tuple[str, tuple[str, ...], str]:
    """Error code, names of fields and message of an answer's first error; "" and () where it has none."""
    said = response.json()
    first = said[0] if isinstance(said, list) and said else said
    return _parts(first, "errorCode")


def refusal(response: Response) -> Verdict | None:
    """What an answer of 4xx means that no rule knows: its code in the reason; None where it has none."""
    code, fields, message = code_of(response)
    if not 400 <= response.status < 500 or response.status in (401, 408, 425, 429) or not code:
        return None
    return _told(response.status, code, fields, message)


def row_verdict(row: Mapping[str, Any]) -> Verdict:
    """What became of a record that a collection's answer says no success of."""
    found = decide_item(ROWS, row, 200)
    if found is not None:
        return found
    errors = row.get("errors")
    code, fields, message = _parts(errors[0] if isinstance(errors, list) and errors else None, "statusCode")
    return _told(200, code, fields, message) if code else dead("HTTP 200: Salesforce refuses it without a code", 200)


def gone(row: Mapping[str, Any]) -> bool:
    """Whether a record was to be deleted and is not there."""
    listed = row.get("errors")
    codes = [one.get("statusCode") for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []
    return bool(codes) and all(one in _GONE for one in codes)


def _told(status: int, code: str, fields: tuple[str, ...], message: str) -> Verdict:
    if any(sign in message.lower() for sign in _TRIGGER):
        return retry(f"HTTP {status}: {code}: a trigger of the org met others at work", status=status, after=5.0)
    where = f" ({', '.join(fields)})" if fields else ""
    more = f": {SENTENCES[code]}" if code in SENTENCES else ""
    return dead(f"HTTP {status}: {code}{where}{more}", status)


def _parts(error: Any, key: str) -> tuple[str, tuple[str, ...], str]:
    if not isinstance(error, Mapping):
        return "", (), ""
    code, fields, message = error.get(key), error.get("fields"), error.get("message")
    listed = fields if isinstance(fields, list) else []
    named = tuple(one for one in listed if isinstance(one, str) and _FIELD.fullmatch(one))
    code = code if isinstance(code, str) and _CODE.fullmatch(code) else ""
    return code, named[:5], message if isinstance(message, str) else ""
