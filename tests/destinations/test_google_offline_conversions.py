"""Google Ads Offline Conversions: clicks, calls, and jobs that go on, against a server as strict as the API."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from destinations.google_offline_conversions import GoogleOfflineConversions
from destinations.google_offline_conversions.jobs import Progress
from destinations.google_offline_conversions.settings import GoogleOfflineConversionsSettings
from tests.destinations.google_ads_api import CREDENTIALS, GoogleAds
from turnout import Context, Event, Request, Response, codec
from turnout.request import LARGEST
from turnout.testing import DestinationContract, FakeClock, drive
from turnout.testing.driving import drive_on

NOW = FakeClock().now()
SETTINGS = {
    **CREDENTIALS,
    "conversion_types": {"Booked": "click", "Rang": "call", "Paid": ["store"], "Both": ["store", "call"]},
    "conversion_names": {"Booked": "Bookings", "Rang": "Calls", "Paid": "Sales", "Both": "Sales"},
    "custom_variables": {"floor": "room_floor", "tower": "tower"},
}  # fmt: skip


class TestGoogleOfflineConversions(DestinationContract):
    destination = GoogleOfflineConversions
    tool = GoogleAds

    def looks_up(self, request: Request) -> bool:
        return request.url.endswith(":searchStream")


def adapter(**chosen: Any) -> GoogleOfflineConversions:
    return GoogleOfflineConversions(GoogleOfflineConversionsSettings.model_validate({**SETTINGS, **chosen}))


def event(name: str, order: str, **properties: Any) -> Event:
    message = {
        "type": "track", "event": name, "messageId": f"m-{order}", "userId": "u-1", "timestamp": "2026-01-01T09:30:00Z",
        "context": {"traits": {"email": f"{order}@example.com"}},
        "properties": {"orderId": order, "callerId": order, "callStartDateTime": "2026-01-01 09:00:00+00:00",
                       "revenue": 12.5, "currency": "EUR", **properties},
    }  # fmt: skip
    return Event(message=message, key=1)


def at(one: GoogleOfflineConversions) -> Context:
    return Context(NOW, one.delivery)


def test_an_events_conversions_go_where_they_belong() -> None:
    one = adapter()
    with GoogleAds() as ads:
        events = [event("Booked", "b"), event("Paid", "p"), event("BOTH ", "x"), event("Rang", "r"), event("Paid", "q")]
        found = ads.deliver(one, events, at(one))
        assert [v.outcome for v in found] == ["delivered"] * 5
        assert sorted(ads.taken) == [
            "sale p", "sale q", "sale x", "uploadCallConversions r", "uploadCallConversions x",
            "uploadClickConversions b",
        ]  # fmt: skip
        assert len(ads.jobs) == 1, "sales travel in one job, though they are of one user and others in between"


def test_variables_that_the_account_does_not_know_are_left_out() -> None:
    one = adapter()
    known = {
        "Bookings": "customers/3034045050/conversionActions/1",
        "room_floor": "customers/3034045050/conversionCustomVariables/5",
    }
    with GoogleAds(known=known) as ads:
        events = [event("Booked", "b", floor=3, tower="north"), event("Booked", "w", floor=1, wbraid="w")]
        found = ads.deliver(one, events, at(one))
        assert [v.outcome for v in found] == ["delivered"] * 2
        first, second = ads.received[-1].json()["conversions"]
        assert first["customVariables"] == [{"conversionCustomVariable": known["room_floor"], "value": "3"}]
        assert "customVariables" not in second
        assert len(ads.asked) == 2, "actions once, variables once"


def test_a_sale_that_is_refused_does_not_take_the_others_with_it() -> None:
    one = adapter()
    with GoogleAds(refused={"q": "INVALID_CURRENCY"}) as ads:
        found = ads.deliver(one, [event("Paid", name) for name in "pqr"], at(one))
        assert [v.outcome for v in found] == ["delivered", "dead", "delivered"]
        assert ads.taken == ["sale p", "sale r"]


def test_sales_that_google_wants_again_are_sent_as_new_ones_and_no_other() -> None:
    one = adapter()
    with GoogleAds(refused={"q": "TRANSIENT_ERROR"}) as ads:
        found, _ = drive_on(one, [event("Paid", "p"), event("Paid", "q")], at(one), ads.send)
        assert [v.outcome for v in found] == ["delivered", "retry"]
        ads.refused.clear()
        again, _ = drive_on(one, [event("Paid", "q")], at(one), ads.send)
        assert [v.outcome for v in again] == ["delivered"]
        assert ads.taken == ["sale p", "sale q"]


def test_a_job_whose_run_failed_is_run_later_and_filled_once() -> None:
    one = adapter()
    failed = 0
    with GoogleAds() as ads:

        def sometimes(request: Request) -> Response:
            nonlocal failed
            if request.url.endswith(":run") and failed < 2:
                failed += 1
                return Response(503)
            return ads.send(request)

        found, _ = drive_on(one, [event("Paid", "p"), event("Booked", "b"), event("Paid", "q")], at(one), sometimes)
        assert [v.outcome for v in found] == ["delivered"] * 3
        assert len(ads.jobs) == 1
        assert ads.taken.count("sale p") == ads.taken.count("uploadClickConversions b") == 1


@pytest.mark.parametrize("step", [":create", ":addOperations", ":run"])
@pytest.mark.parametrize(("status", "outcome"), [(400, "dead"), (401, "pause"), (503, "retry")])
def test_what_a_step_of_a_job_is_refused_with_is_the_verdict(step: str, status: int, outcome: str) -> None:
    one = adapter()
    with GoogleAds() as ads:
        sale = [event("Paid", "p")]
        found, _ = drive(one, sale, at(one), lambda r: Response(status) if step in r.url else ads.send(r))
        assert [v.outcome for v in found] == [outcome]
        assert ads.taken == []


def test_a_job_without_a_name_is_tried_again() -> None:
    one = adapter()
    with GoogleAds() as ads:
        nameless = Response(200, body=b"{}")
        sale = [event("Paid", "p")]
        found, _ = drive(one, sale, at(one), lambda r: nameless if ":create" in r.url else ads.send(r))
    assert [v.outcome for v in found] == ["retry"]


def test_checked_sales_are_not_counted() -> None:
    one = adapter(validate_only=True)
    with GoogleAds() as ads:
        assert [v.outcome for v in ads.deliver(one, [event("Paid", "p")], at(one))] == ["delivered"]
        assert ads.taken == []


def test_a_full_batch_with_errors_fits_into_a_checkpoint() -> None:
    errors = [
        {"errorCode": {"e": "NO_CONVERSION_ACTION_FOUND" if i % 2 else "INVALID_CURRENCY_CODE"},
         "location": {"fieldPathElements": [{"index": i}]}} for i in range(2000)
    ]  # fmt: skip
    progress = Progress()
    for key in "abc":
        progress.note(key, Response(200, body=codec.dumps({"partialFailureError": {"details": [{"errors": errors}]}})))
    assert len(codec.dumps(progress.state())) < LARGEST
    again = Progress(progress.state()).answer("a")
    assert again is not None
    found = adapter().verdicts(Request("POST", "x", events=tuple(range(2000))), again, Context(NOW))
    assert {v.outcome for v in found} == {"dead"}


def test_settings_of_rudderstack_are_read() -> None:
    pairs = [{"from": name, "to": to} for name, to in (("A", "store"), ("A", "call"), ("A", "call"), ("", ""))]
    given = {
        "customerId": "1-2", "developerToken": "d", "accessToken": "t", "eventsToOfflineConversionsTypeMapping": pairs,
        "eventsToConversionsNamesMapping": [{"from": "A", "to": "Sales"}], "UserIdentifierSource": "none",
        "conversionEnvironment": "none", "customVariables": [{"from": "", "to": ""}], "userDataConsent": "granted",
    }  # fmt: skip
    read = GoogleOfflineConversionsSettings.model_validate(given)
    assert read.conversion_types == {"A": ("store", "call")}
    assert (read.user_data_consent, read.custom_variables) == ("GRANTED", {})
    with pytest.raises(ValidationError, match="conversion_types"):
        GoogleOfflineConversionsSettings.model_validate({**SETTINGS, "conversion_types": {"A": "visit"}})


@pytest.mark.parametrize(("consents", "ads"), [
    ({"adPersonalization": "GRANTED"}, "GRANTED"), ({"adPersonalization": "yes"}, "DENIED"), ("all", "DENIED"),
    ({"adPersonalization": ["GRANTED"]}, "DENIED"),
])  # fmt: skip
def test_consent_is_the_events_else_the_settings(consents: Any, ads: str) -> None:
    one = adapter(personalization_consent="denied")
    message = event("Booked", "b").message
    made = one.verdict(Event(message=message, options={"consents": consents}), at(one))
    assert isinstance(made, list)
    (row,) = made[0].body.value["conversions"]
    assert row["consent"] == {"adUserData": "UNSPECIFIED", "adPersonalization": ads}
