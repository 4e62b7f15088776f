"""A server as strict as the Google Ads API about conversions: credentials, names, fields, times, jobs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from turnout import Bearer, Request, Response, codec
from turnout.auth import apply
from turnout.testing import Received, Tool

__all__ = ["ACCOUNT", "CREDENTIALS", "GoogleAds"]

ACCOUNT = "3034045050"
CREDENTIALS = {"customer_id": "303-404-5050", "developer_token": "dev-77", "access_token": "tok-77"}
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d")
_HASH = re.compile(r"[0-9a-f]{64}")
_NAMES = re.compile(r"'((?:[^'\\]|\\.)*)'")
_ROWS = {
    "uploadClickConversions": {
        "conversionAction", "conversionDateTime", "consent", "gclid", "gbraid", "wbraid", "userIdentifiers", "cartData",
        "conversionEnvironment", "conversionValue", "currencyCode", "orderId", "customVariables",
        "externalAttributionData",
    },
    "uploadCallConversions": {
        "conversionAction", "conversionDateTime", "consent", "callerId", "callStartDateTime", "conversionValue",
        "currencyCode", "customVariables",
    },
    "uploadConversionAdjustments": {
        "conversionAction", "adjustmentType", "adjustmentDateTime", "gclidDateTimePair", "orderId", "restatementValue",
        "userAgent", "userIdentifiers",
    },
}
Answer = tuple[int, Any] | tuple[int, Any, Mapping[str, str]]


class GoogleAds(Tool):
    """`known` are resources by name, `refused` codes of errors by order id or caller; `taken` is what counts."""

    def __init__(self, *, known: Mapping[str, str] | None = None, refused: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.known = known
        self.refused = dict(refused or {})
        self.taken: list[str] = []
        self.asked: list[str] = []
        self.jobs: dict[str, list[Any] | None] = {}
        self.logins: set[str | None] = set()

    def send(self, request: Request) -> Response:
        """With the access token, which the engine adds: a killed exchange is driven without it."""
        return super().send(request if "Authorization" in request.headers else apply(Bearer("tok-77"), request))

    def answered(self, asked: Received) -> Answer:
        if asked.headers.get("authorization") != "Bearer tok-77":
            return wrong(401, "UNAUTHENTICATED")
        if asked.headers.get("developer-token") != "dev-77":
            return wrong(403, "PERMISSION_DENIED", authorizationError="DEVELOPER_TOKEN_PROHIBITED")
        self.logins.add(asked.headers.get("login-customer-id"))
        found = re.fullmatch(r"/v23/customers/(\d{10})(?::|/googleAds:|/)(.+)", asked.path)
        if found is None or asked.method != "POST" or asked.query:
            return wrong(404, "NOT_FOUND")
        account, verb = found.groups()
        if account != ACCOUNT:
            return wrong(403, "PERMISSION_DENIED", authorizationError="USER_PERMISSION_DENIED")
        if verb == "searchStream":
            return self._search(asked.json()["query"])
        return self._jobs(verb, asked.json()) if verb.startswith("offline") else self._upload(verb, asked.json())

    def _search(self, query: str) -> Answer:
        self.asked.append(query)
        kind = query.split()[query.split().index("FROM") + 1]
        name = "conversionAction" if kind == "conversion_action" else "conversionCustomVariable"
        rows = []
        for one in _NAMES.findall(query):
            plain = one.replace("\\'", "'").replace("\\\\", "\\")
            resource = f"customers/{ACCOUNT}/{name}s/{len(plain)}" if self.known is None else self.known.get(plain)
            if resource:
                rows.append({name: {"name": plain, "resourceName": resource}})
        return 200, [{"results": rows}] if rows else [{"fieldMask": ""}]

    def _upload(self, verb: str, body: Any) -> Answer:
        rows = body["conversionAdjustments" if verb == "uploadConversionAdjustments" else "conversions"]
        if len(rows) > 2000 or body.get("partialFailure") is not True:
            return wrong(400, "INVALID_ARGUMENT", requestError="TOO_MANY_CONVERSIONS")
        if any(set(row) - _ROWS[verb] for row in rows):
            return wrong(400, "INVALID_ARGUMENT")
        errors = {}
        for i, row in enumerate(rows):
            what = str(row.get("orderId") or row.get("callerId") or row.get("wbraid"))
            code = self.refused.get(what) or faulty(verb, row)
            if code:
                errors[i] = code
            elif f"{verb} {what}" in self.taken:
                errors[i] = "CLICK_CONVERSION_ALREADY_EXISTS"
            else:
                self.taken.append(f"{verb} {what}")
        return 200, partial(errors, "conversions")

    def _jobs(self, verb: str, body: Any) -> Answer:
        if verb == "offlineUserDataJobs:create":
            said = body["job"]["storeSalesMetadata"]
            if body["job"]["type"] != "STORE_SALES_UPLOAD_FIRST_PARTY" or not 0 < said["loyaltyFraction"] <= 1:
                return wrong(400, "INVALID_ARGUMENT")
            name = f"customers/{ACCOUNT}/offlineUserDataJobs/{len(self.jobs)}"
            self.jobs[name] = []
            return 200, {"resourceName": name}
        name, _, step = verb.rpartition(":")
        name = f"customers/{ACCOUNT}/{name}"
        if name not in self.jobs:
            return wrong(404, "NOT_FOUND")
        held = self.jobs[name]
        if held is None:
            return wrong(400, "INVALID_ARGUMENT", offlineUserDataJobError="JOB_ALREADY_STARTED")
        if step == "run":
            self.taken += [] if body["validateOnly"] else [str(one) for one in held]
            self.jobs[name] = None
            return 200, {"name": f"{name}/operations/1"}
        if body.get("enablePartialFailure") is not True:
            return wrong(400, "INVALID_ARGUMENT")
        errors = {}
        for i, row in enumerate(body["operations"]):
            sale = row["create"]["transactionAttribute"]
            code = self.refused.get(sale.get("orderId", "")) or unsold(row["create"])
            if code:
                errors[i] = code
            else:
                held.append(f"sale {sale.get('orderId', sale['transactionAmountMicros'])}")
        return 200, partial(errors, "operations")


def faulty(verb: str, row: Mapping[str, Any]) -> str:
    """The code that Google refuses a conversion with; "" where it takes it."""
    times = [row[name] for name in ("conversionDateTime", "callStartDateTime", "adjustmentDateTime") if name in row]
    if not all(_TIME.fullmatch(time) for time in times):
        return "INVALID_DATE_TIME"
    if f"customers/{ACCOUNT}/conversionActions/" not in row["conversionAction"]:
        return "NO_CONVERSION_ACTION_FOUND"
    clicks = [name for name in ("gclid", "gbraid", "wbraid") if name in row]
    if len(clicks) > 1 or ("wbraid" in row and "customVariables" in row):
        return "VALUE_MUST_BE_UNSET"
    if verb == "uploadClickConversions" and not clicks and not row.get("userIdentifiers"):
        return "REQUIRED"
    if row.get("adjustmentType", "ENHANCEMENT") != "ENHANCEMENT" and "userIdentifiers" in row:
        return "VALUE_MUST_BE_UNSET"
    return "" if hashed(row.get("userIdentifiers", ())) else "INVALID_SHA256_FORMAT"


def unsold(sale: Mapping[str, Any]) -> str:
    """The same of a sale in a shop."""
    attribute = sale["transactionAttribute"]
    if not _TIME.fullmatch(attribute["transactionDateTime"]) or not attribute["currencyCode"]:
        return "INVALID_DATE_TIME"
    if not sale["userIdentifiers"]:
        return "MISSING_USER_IDENTIFIER"
    return "" if hashed(sale["userIdentifiers"]) else "INVALID_SHA256_FORMAT"


def hashed(people: Any) -> bool:
    """Whether what has to be a hash is one."""
    flat = [pair for one in people for pair in (*one.items(), *one.get("addressInfo", {}).items())]
    return all(_HASH.fullmatch(value) for name, value in flat if name.startswith("hashed"))


def partial(errors: Mapping[int, str], field: str) -> dict[str, Any]:
    """A success, with errors of some."""
    if not errors:
        return {"jobId": "1"}
    rows = [
        {"errorCode": {"conversionUploadError": code}, "message": "no",
         "location": {"fieldPathElements": [{"fieldName": field, "index": i}, {"fieldName": "x"}]}}
        for i, code in errors.items()
    ]
    return {"partialFailureError": {"code": 3, "message": "no", "details": [{"@type": "x", "errors": rows}]}}


def wrong(status: int, name: str, **codes: str) -> tuple[int, Any]:
    """An error of the whole request."""
    details = [{"errors": [{"errorCode": codes, "message": "no"}]}] if codes else []
    body = {"error": {"code": status, "status": name, "message": "no", "details": details}}
    return status, codec.loads(codec.dumps(body))
