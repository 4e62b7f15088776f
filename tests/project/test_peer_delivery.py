"""What a peer's delivery makes of its answers is what is compared."""

from __future__ import annotations

from typing import Any

import pytest

from tools.meaning import difference
from tools.peer_delivery import as_sent

ADS = "https://googleads.googleapis.com/v23/customers/5550001111"
ENHANCED, OFFLINE = "GOOGLE_ADWORDS_ENHANCED_CONVERSIONS", "GOOGLE_ADWORDS_OFFLINE_CONVERSIONS"


def test_an_answer_without_an_address_becomes_the_upload() -> None:
    row = {"orderId": "B-7", "adjustmentType": "ENHANCEMENT"}
    one = {
        "method": "POST", "endpoint": "", "headers": {"login-customer-id": "9"},
        "params": {"customerId": "5550001111", "event": "Room Booked"},
        "body": {"JSON": {"conversionAdjustments": [row], "partialFailure": True}},
    }  # fmt: skip
    case = as_sent(ENHANCED, "router", {"expect": {"batches": [{"jobs": [1], "requests": [one]}]}})
    (sent,) = case["expect"]["batches"][0]["requests"]
    assert sent["endpoint"] == f"{ADS}:uploadConversionAdjustments"
    assert sent["params"] == {}
    rows = [{**row, "conversionAction": "customers/1/conversionActions/2"}]
    ours = {"conversionAdjustments": rows, "partialFailure": True}
    assert difference(sent["body"]["JSON"], ours) == ""
    assert difference(sent["body"]["JSON"], {**ours, "conversionAdjustments": [row]}) != ""
    (answer,) = case["_answers"]
    assert answer["request"]["url"] == f"{ADS}/googleAds:searchStream"


def test_a_sale_becomes_the_calls_of_its_job() -> None:
    sale = {"transaction_amount_micros": "5000000", "currency_code": "EUR", "SEASON": "winter"}
    one = {
        "method": "POST", "endpoint": f"{ADS}/offlineUserDataJobs", "params": {"customerId": "5550001111"},
        "body": {"JSON": {
            "isStoreConversion": True, "event": "5550001111",
            "createJobPayload": {"job": {"type": "T", "storeSalesMetadata": {
                "loyaltyFraction": "1", "transaction_upload_fraction": "1", "custom_key": "SEASON",
            }}},
            "addConversionPayload": {
                "operations": {"create": {"transaction_attribute": sale, "userIdentifiers": [{}]}},
                "validate_only": False,
            },
            "executeJobPayload": {"validate_only": False},
        }},
    }  # fmt: skip
    case = as_sent(OFFLINE, "processor", {"expect": {"output": [one]}})
    made, filled, run = case["expect"]["output"]
    assert made["endpoint"] == f"{ADS}/offlineUserDataJobs:create"
    said = {"loyaltyFraction": 1, "transactionUploadFraction": 1, "customKey": "SEASON"}
    assert made["body"]["JSON"] == {"job": {"type": "T", "storeSalesMetadata": said}}
    (row,) = filled["body"]["JSON"]["operations"]
    wanted = {"transactionAmountMicros": 5_000_000, "currencyCode": "EUR", "customValue": "winter"}
    assert row["create"] == {"transactionAttribute": wanted, "userIdentifiers": []}
    assert difference(run["endpoint"], f"{ADS}/offlineUserDataJobs/77:run") == ""


@pytest.mark.parametrize(("statuses", "place"), [((200, 200), 1), ((200, 400), 1), ((401, 200), 0)])
def test_an_answer_is_about_the_call_that_failed_else_the_last(statuses: tuple[int, ...], place: int) -> None:
    calls: list[dict[str, Any]] = [
        {"request": {"method": "POST", "url": f"https://a.example/{i}"}, "response": {"status": status}}
        for i, status in enumerate(statuses)
    ]
    case = as_sent("ANY", "delivery", {"request": {"method": "POST", "endpoint": ""}, "network": calls})
    assert case["request"]["endpoint"] == f"https://a.example/{place}"
    assert case["network"] == [calls[place]]


def test_a_request_that_was_made_as_it_is_stays() -> None:
    request = {"method": "POST", "url": "https://a.example/x", "params": {"k": "1"}}
    call = {"request": request, "response": {"status": 400}}
    case = {"request": {"method": "POST", "endpoint": "https://a.example/x", "params": {"k": "1"}}, "network": [call]}
    assert as_sent("ANY", "delivery", case) == case
    assert as_sent("ANY", "processor", case) == case


@pytest.mark.parametrize(("one", "other", "same"), [
    ("2026-01-02 05:04:05+02:00", "2026-01-02 03:04:05+00:00", True),
    ("2026-01-02T03:04:05.900Z", "2026-01-02 03:04:05+00:00", True),
    ("2026-01-02 03:04:05+02:00", "2026-01-02 03:04:05+00:00", False),
    ("2026-01-02", "2026-01-02 00:00:00+00:00", False),
])  # fmt: skip
def test_a_time_is_the_same_in_every_zone(one: str, other: str, same: bool) -> None:
    assert (difference(one, other) == "") is same
