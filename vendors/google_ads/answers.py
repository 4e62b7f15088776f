"""What the answers of the Google Ads API mean, as a whole and for each conversion of a request.

Source: https://developers.google.com/google-ads/api/docs/best-practices/error-types,
https://developers.google.com/google-ads/api/docs/best-practices/partial-failures and the enums of conversion errors,
https://developers.google.com/google-ads/api/reference/rpc/v23/ConversionUploadErrorEnum.ConversionUploadError.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from turnout import Response, Rule, Verdict, codec, dead, delivered, filtered, per_item, retry
from turnout.paths import get

__all__ = ["RULES", "partly", "unwrapped"]

_OF: Final = "error.details[*].errors[*].errorCode"
_ACCOUNT: Final = (
    "CUSTOMER_NOT_ENABLED", "DEVELOPER_TOKEN_NOT_APPROVED", "DEVELOPER_TOKEN_NOT_ON_ALLOWLIST",
    "DEVELOPER_TOKEN_PROHIBITED", "MISSING_TOS", "PROJECT_DISABLED", "USER_PERMISSION_DENIED",
)
RULES: Final = (
    Rule("pause", "this user, token or account may not be used", status=403, path=f"{_OF}.authorizationError",
         values=_ACCOUNT),
    Rule("pause", "the access token lacks the scope adwords", status=403, path="error.details[*].reason",
         values=("ACCESS_TOKEN_SCOPE_INSUFFICIENT",)),
    Rule("throttle", "the quota of the developer token or the account is used up", status=429,
         path=f"{_OF}.quotaError", after=60),
)  # fmt: skip

_PASSING: Final = frozenset({
    "CONCURRENT_MODIFICATION", "DEADLINE_EXCEEDED", "INTERNAL_ERROR", "RESOURCE_EXHAUSTED",
    "RESOURCE_TEMPORARILY_EXHAUSTED", "TEMPORARILY_UNAVAILABLE", "TRANSIENT_ERROR",
})
_EARLY: Final = frozenset({
    "TOO_RECENT_CALL", "TOO_RECENT_CLICK", "TOO_RECENT_CONVERSION", "TOO_RECENT_CONVERSION_ACTION",
})
"""Google knows the click, call or action not yet; it says to try again after some hours."""
_THERE: Final = frozenset({"CALL_CONVERSION_ALREADY_EXISTS", "CLICK_CONVERSION_ALREADY_EXISTS"})
"""The same click or call at the same time: what was sent before, and its answer was lost."""
_TWICE: Final = frozenset({
    "CONVERSION_ALREADY_ENHANCED", "CONVERSION_ALREADY_RETRACTED", "DUPLICATE_CALL_CONVERSION_IN_REQUEST",
    "DUPLICATE_CLICK_CONVERSION_IN_REQUEST", "DUPLICATE_ENHANCEMENT_IN_REQUEST",
})
_CODE = re.compile(r"[A-Z][A-Z0-9_]{1,80}")
_HOURS: Final = 6 * 3600.0


def unwrapped(response: Response) -> Response:
    """An error of a stream is the only item of a list: the same without the list."""
    if response.status < 300 or not response.body.lstrip().startswith(b"["):
        return response
    said = response.json()
    if not isinstance(said, list) or not said or not isinstance(said[0], dict):
        return response
    return Response(response.status, response.headers, codec.dumps(said[0]), response.error)


def partly(response: Response, count: int) -> Sequence[Verdict]:
    """One verdict for each of `count` conversions of a request that was answered with a success."""
    status = response.status
    failure = get(response.json(), "partialFailureError", None)
    if not isinstance(failure, dict) or not failure:
        return [delivered(status)] * count
    rows = list(_rows(failure))
    if not rows:
        return [dead(f"HTTP {status}: Google refuses some and does not say which", status)] * count
    return per_item(rows, count, lambda row: _row(row, status), rest=delivered(status))


def _rows(failure: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """An error with the place of its conversion in the request, the first of a path of fields."""
    details = failure.get("details")
    for detail in details if isinstance(details, list) else ():
        errors = get(detail, "errors", None)
        for error in errors if isinstance(errors, list) else ():
            places = get(error, "location.fieldPathElements", None)
            index = next((get(one, "index", None) for one in places), None) if isinstance(places, list) else None
            codes = get(error, "errorCode", None)
            yield {"index": index, "codes": list(codes.values()) if isinstance(codes, dict) else []}


def _row(row: Mapping[str, Any], status: int) -> Verdict:
    codes = [code for code in row["codes"] if isinstance(code, str) and _CODE.fullmatch(code)]
    told = f"HTTP {status} ({', '.join(codes[:3])})" if codes else f"HTTP {status}"
    if _THERE.intersection(codes):
        return delivered(status)
    if _TWICE.intersection(codes):
        return filtered(f"{told}: Google has such a one already")
    if _PASSING.intersection(codes):
        return retry(f"{told}: Google has trouble, which passes", status=status)
    if _EARLY.intersection(codes):
        return retry(f"{told}: too early, Google does not know what it belongs to yet", status=status, after=_HOURS)
    return dead(f"{told}: Google refuses this conversion", status)
