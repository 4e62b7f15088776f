"""What a peer sends in the end, where its answer is an order to a delivery of its own.

Some of its answers have no address, or one that nobody calls: its delivery makes calls of them, asks for names before,
and adds what it keeps in its environment. Here such an answer becomes the requests that are written; what is asked
for on the way is answered as the tool would, where no recorded call does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from tools.meaning import ANY, address

__all__ = ["as_sent"]

Requests = list[dict[str, Any]]
ADS = "https://googleads.googleapis.com/v23/customers/"
_JOBS = "/offlineUserDataJobs"
_ASKS = "googleAds:searchStream"


def as_sent(name: str, kind: str, case: Mapping[str, Any]) -> Mapping[str, Any]:
    """A case with what is written in the end as expected; `name` is the peer's of the destination.

    `_answers` are further calls that are answered, `_settings` what the peer has in its environment.
    """
    if kind == "delivery":
        return _decided(case)
    way = _WAYS.get(name)
    if way is None:
        return case
    expect = case["expect"]
    answers: list[Mapping[str, Any]] = []
    parts = [*(expect.get("batches") or []), *(expect.get("mixed") or []), expect]
    wanted = [one for part in parts for one in part.get("requests") or part.get("output") or []]
    answers += [answer for one in wanted for answer in _asked(one)]
    if name in _REMEMBERING:
        calls = case.get("_network") or []
        answers += [
            _bare(call) for call in calls
            if (call.get("response") or {}).get("status") == 200 and str(call["request"].get("url")).endswith(_ASKS)
        ]
    return {
        **case, "expect": _with(expect, way), "_answers": answers, "_settings": {"developer_token": "environment"},
    }


def _with(expect: Mapping[str, Any], way: Callable[[Mapping[str, Any]], Requests]) -> dict[str, Any]:
    made = dict(expect)
    for several in ("batches", "mixed"):
        if made.get(several):
            made[several] = [_with(part, way) for part in made[several]]
    for name in ("requests", "output"):
        if made.get(name):
            made[name] = [request for one in made[name] for request in way(one)]
    return made


def _decided(case: Mapping[str, Any]) -> Mapping[str, Any]:
    """Where a request is not among the calls that were made of it: in its place the call that failed, else the last."""
    calls: Sequence[Mapping[str, Any]] = case.get("network") or []
    asked = case["request"]
    own = address({"method": asked.get("method"), "url": asked.get("endpoint")})
    if not calls:
        return case
    if any(address(call["request"]) == own for call in calls):
        params = next(call for call in calls if address(call["request"]) == own)["request"].get("params")
        return case if params else {**case, "request": {**asked, "params": {}}}
    failed = [call for call in calls if int((call.get("response") or {}).get("status") or 0) >= 300]
    call = (failed or [calls[-1]])[0]
    request = call["request"]
    sent = {
        "method": request.get("method", "POST"), "endpoint": request.get("url"), "headers": request.get("headers"),
        "params": request.get("params"), "body": {"JSON": request.get("data") or {}},
    }
    return {**case, "request": sent, "network": [call]}


# ---- Google Ads: names of actions become resources, accounts become addresses, a sale in a shop becomes three calls


def _adjustments(one: Mapping[str, Any]) -> Requests:
    rows = one["body"]["JSON"]["conversionAdjustments"]
    body = {**one["body"]["JSON"], "conversionAdjustments": [{**row, "conversionAction": ANY} for row in rows]}
    return [_ads(one, f"{ADS}{one['params']['customerId']}:uploadConversionAdjustments", body)]


def _conversions(one: Mapping[str, Any]) -> Requests:
    body = one["body"]["JSON"]
    if not body.get("isStoreConversion"):
        return [_ads(one, one["endpoint"], body)]
    job = _camel(body["createJobPayload"])
    said = job["job"]["storeSalesMetadata"]
    for name in ("loyaltyFraction", "transactionUploadFraction"):
        said[name] = float(said[name])
    added, run = body["addConversionPayload"], {"validateOnly": body["executeJobPayload"]["validate_only"]}
    given = added["operations"] if isinstance(added["operations"], list) else [added["operations"]]
    rows = [{"create": _sale(row["create"], said.get("customKey"))} for row in given]
    # How the tool says what it refuses is our own affair: item by item, where a peer has the whole request refused.
    more = {"enablePartialFailure": True, "validateOnly": added["validate_only"]}
    name = f"{ADS}{ANY}"  # the job's own, as Google says it
    return [
        _ads(one, f"{one['endpoint']}:create", job), _ads(one, f"{name}:addOperations", {"operations": rows, **more}),
        _ads(one, f"{name}:run", run),
    ]


def _sale(row: Mapping[str, Any], key: str | None) -> Any:
    """An operation in the API's names. The value of the custom variable is sent under the variable's own name."""
    sale = dict(row["transaction_attribute"])
    if key is not None and key in sale:
        sale["custom_value"] = sale.pop(key)
    sale["transaction_amount_micros"] = float(sale["transaction_amount_micros"])
    people = [one for one in row["userIdentifiers"] if one]
    return _camel({**row, "transaction_attribute": sale, "userIdentifiers": people})


def _ads(one: Mapping[str, Any], url: str, body: Any) -> dict[str, Any]:
    headers = {**(one.get("headers") or {}), "developer-token": ANY}
    return {"method": "POST", "endpoint": url, "headers": headers, "params": {}, "body": {"JSON": body}}


def _asked(one: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What Google answers on the way: a job has a name, and an action that is not known by now is there."""
    account, params = f"{ADS}{one['params'].get('customerId')}", one["params"]
    if urlsplit(str(one.get("endpoint") or "")).path.endswith(_JOBS):
        name = f"customers/{params['customerId']}{_JOBS}/1"
        return [_call(f"{one['endpoint']}:create", {"resourceName": name})]
    if one.get("endpoint"):
        return []
    row = {"name": params["event"], "resourceName": f"customers/{params['customerId']}/conversionActions/1"}
    return [_call(f"{account}/{_ASKS}", [{"results": [{"conversionAction": row}]}])]


def _call(url: str, data: Any) -> Mapping[str, Any]:
    return {"request": {"method": "POST", "url": url}, "response": {"status": 200, "data": data}}


def _bare(call: Mapping[str, Any]) -> Mapping[str, Any]:
    """A call without params, which are marks of whoever recorded it: the API has none."""
    return {**call, "request": {name: value for name, value in call["request"].items() if name != "params"}}


def _camel(value: Any) -> Any:
    """Names of fields as JSON has them: the API takes those of its protocol buffers as well."""
    if isinstance(value, dict):
        return {_word(name): _camel(item) for name, item in value.items()}
    return [_camel(item) for item in value] if isinstance(value, list) else value


def _word(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


_WAYS: Mapping[str, Callable[[Mapping[str, Any]], Requests]] = {
    "GOOGLE_ADWORDS_ENHANCED_CONVERSIONS": _adjustments,
    "GOOGLE_ADWORDS_OFFLINE_CONVERSIONS": _conversions,
}
_REMEMBERING = frozenset({"GOOGLE_ADWORDS_OFFLINE_CONVERSIONS"})
"""Whose answers have the resources of names that were asked for in an earlier case."""
