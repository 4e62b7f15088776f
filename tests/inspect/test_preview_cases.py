"""Cases of `turnout preview --jsonl`: an adapter alone, answered from what is recorded."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest
from pydantic import model_validator
from typer.testing import CliRunner

from dataplane.cli.main import app
from dataplane.inspect.cases import Case, answer
from destinations import rudderstack
from destinations.webhook import Webhook
from destinations.webhook.settings import WebhookSettings
from turnout import Context, Event, Verdict, dead, filtered
from turnout.errors import Fixable
from turnout.testing import FakeClock

HOOK = "https://hooks.example.org/in"
RENT = {"type": "track", "event": "Boat Rented", "userId": "u-7", "messageId": "m-7"}


def told(**given: Any) -> dict[str, Any]:
    case = {"id": "c", "type": "webhook", "settings": {"webhook_url": HOOK}, "events": [{"message": RENT}], **given}
    return answer(Case.model_validate(case), FakeClock())


def test_a_case_shows_requests_and_verdicts() -> None:
    found = told()
    assert found["requests"][0]["url"] == HOOK
    assert found["requests"][0]["body"] == {"json": RENT}
    assert found["requests"][0]["events"] == [0]
    assert found["verdicts"] == [{"event": 0, "outcome": "delivered", "status": 200, "reason": ""}]
    assert found["warnings"] == []
    assert "error" not in found


def test_the_peers_name_and_spelling_are_read() -> None:
    found = told(type="WEBHOOK", settings={"webhookUrl": HOOK, "useNativeSDK": False, "retries": 3})
    assert found["requests"][0]["url"] == HOOK
    assert found["warnings"] == ["unknown setting retries"], "a browser SDK's switch is no news"


def test_what_a_name_stands_for_holds_where_it_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(rudderstack.NAMES, "HOOK", ("webhook", {"method": "PUT"}))
    assert told(type="HOOK")["requests"][0]["method"] == "PUT"
    for spelling in ("method", "webhookMethod"):
        found = told(type="HOOK", settings={"webhook_url": HOOK, spelling: "PATCH"})
        assert (found["requests"][0]["method"], found["warnings"]) == ("PATCH", [])


def test_settings_that_are_not_valid_make_every_event_dead() -> None:
    found = told(settings={"method": "PATCH"}, events=[{"message": RENT}, {"message": RENT}])
    assert [one["outcome"] for one in found["verdicts"]] == ["dead", "dead"]
    assert "webhook_url" in found["verdicts"][0]["reason"]
    assert found["requests"] == []


def test_answers_come_from_the_recorded_calls() -> None:
    call = {"request": {"method": "POST", "url": HOOK}, "response": {"status": 503, "headers": {"Retry-After": "9"}}}
    found = told(network=[call])
    assert found["verdicts"][0]["outcome"] == "retry"
    assert found["verdicts"][0]["status"] == 503


def test_of_several_calls_the_one_with_our_credentials_answers() -> None:
    def call(word: str, status: int) -> dict[str, Any]:
        request = {"method": "POST", "url": "https://track.customer.io/api/v1/customers/u-7/events",
                   "headers": {"authorization": f"Basic {b64encode(word.encode()).decode()}"}}
        return {"request": request, "response": {"status": status}}

    def outcome(*network: dict[str, Any]) -> str:
        settings = {"site_id": "harbour", "api_key": "k-31"}
        word: str = told(type="customerio", settings=settings, network=list(network))["verdicts"][0]["outcome"]
        return word

    assert outcome(call("other:k-1", 401), call("harbour:k-31", 200)) == "delivered"
    assert outcome(call("other:k-1", 401)) == "pause", "any, where none has them"


def test_the_call_with_the_same_body_answers() -> None:
    def call(data: Any, status: int) -> dict[str, Any]:
        return {"request": {"method": "POST", "url": HOOK, "data": data}, "response": {"status": status}}

    assert told(network=[call({"a": 1}, 400), call(RENT, 200)])["verdicts"][0]["outcome"] == "delivered"


def test_of_calls_that_are_alike_the_one_with_the_same_credentials_answers() -> None:
    def call(key: str, status: int) -> dict[str, Any]:
        request = {"method": "POST", "url": HOOK, "headers": {"authorization": key}}
        return {"request": request, "response": {"status": status}}

    settings = {"webhook_url": HOOK, "headers": {"Authorization": "Bearer k-2"}}
    network = [call("Bearer k-1", 400), call("Bearer k-2", 503)]
    assert told(settings=settings, network=network)["verdicts"][0]["outcome"] == "retry"


def test_an_event_has_the_number_that_it_had_in_the_peers_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    def numbered(self: Webhook, event: Event, at: Context) -> Verdict:
        return filtered(str(event.number))

    monkeypatch.setattr(Webhook, "request", numbered)
    jobs: list[Any] = [41, None, "b-7", 0, True]
    found = told(events=[{"message": RENT, "metadata": {"jobId": job}} for job in jobs])
    assert [one["reason"] for one in found["verdicts"]] == ["41", "1", "1", "1", "1"]


def test_a_call_without_an_answer_is_no_answer() -> None:
    call = {"request": {"method": "POST", "url": HOOK}, "error": "ECONNRESET"}
    assert told(network=[call])["verdicts"][0]["outcome"] == "retry"


def test_a_call_that_is_not_recorded_is_named() -> None:
    assert told(network=[])["error"] == f"not recorded: POST {HOOK}"


def test_batches_are_shown_and_constants_override_delivery() -> None:
    found = told(events=[{"message": RENT}] * 3, constants={"batch": 2, "NO_SUCH_SWITCH": 1})
    assert [one["events"] for one in found["requests"]] == [[0, 1], [2]]
    assert len(found["requests"][0]["body"]["json_array"]) == 2


def test_a_request_made_before_is_batched_or_judged() -> None:
    made = {"method": "PUT", "endpoint": HOOK, "headers": {"X-A": "b"}, "body": {"JSON": {"n": 1}}}
    batched = told(events=[{"message": made}, {"message": made}], constants={"batch": 5})
    assert batched["requests"][0]["body"] == {"json_array": [{"n": 1}, {"n": 1}]}
    judged = told(
        request=made, events=[{"metadata": {"jobId": 1}}, {"metadata": {"jobId": 2}}],
        network=[{"request": {"method": "PUT", "url": HOOK}, "response": {"status": 404}}],
    )
    assert [one["outcome"] for one in judged["verdicts"]] == ["dead", "dead"]


def test_an_answer_is_judged_without_the_settings_it_does_not_need() -> None:
    request = {"method": "POST", "endpoint": "https://other.example.org", "body": {"JSON": {"n": 1}}}
    call = {"request": {"method": "POST", "url": "https://other.example.org"}, "response": {"status": 503}}
    assert told(request=request, network=[call], settings={})["verdicts"][0]["outcome"] == "retry"
    assert told(request=request, network=[call], settings={"method": "?"})["verdicts"][0]["outcome"] == "dead"
    assert told(settings={})["verdicts"][0]["outcome"] == "dead"


def test_a_setting_that_a_request_made_before_has_no_use_for_may_be_missing() -> None:
    made = {"method": "POST", "endpoint": HOOK, "body": {"FORM": {"tag": ["a", "b"], "n": 1}}}
    found = told(events=[{"message": made}], settings={})
    assert found["requests"][0]["url"] == HOOK
    assert found["requests"][0]["body"] == {"form": {"tag": ["a", "b"], "n": "1"}}
    assert told(settings={})["verdicts"][0]["outcome"] == "dead"


def test_an_event_that_a_batch_was_taken_apart_for_is_sent_alone() -> None:
    events = [{"message": {**RENT, "n": n}, "metadata": {"dontBatch": n == 1}} for n in range(3)]
    found = told(events=events, constants={"batch": 5})
    assert [one["events"] for one in found["requests"]] == [[0, 2], [1]]
    assert [one["event"] for one in found["verdicts"]] == [0, 1, 2]
    assert found["requests"][1]["body"]["json"]["n"] == 1


def test_a_batch_that_an_atomic_tool_refuses_is_not_dead_yet() -> None:
    made = {"method": "POST", "endpoint": "https://api2.amplitude.com/batch", "body": {"JSON": {"events": [{}, {}]}}}
    call = {"request": {"method": "POST", "url": made["endpoint"]}, "response": {"status": 400, "data": "no JSON"}}

    def outcomes(**metadata: Any) -> list[str]:
        found = told(type="amplitude", settings={}, request=made, network=[call], events=[{"metadata": metadata}] * 2)
        return [one["outcome"] for one in found["verdicts"]]

    assert outcomes() == ["retry", "retry"]
    assert outcomes(dontBatch=True) == ["dead", "dead"]


def test_what_an_atomic_tool_judges_item_by_item_is_not_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Webhook, "atomic", True)
    monkeypatch.setattr(Webhook, "verdicts", lambda self, request, response, at: [dead("no")] * len(request.events))
    made = {"method": "POST", "endpoint": HOOK, "body": {"JSON": {"boats": [1, 2]}}}

    def outcomes(status: int) -> list[str]:
        call = {"request": {"method": "POST", "url": HOOK}, "response": {"status": status}}
        found = told(request=made, network=[call], events=[{}, {}])
        return [one["outcome"] for one in found["verdicts"]]

    assert outcomes(400) == ["retry", "retry"]
    assert outcomes(207) == ["dead", "dead"]


def test_credentials_of_which_one_is_needed_may_be_missing_where_an_answer_is_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Keys(WebhookSettings):
        @model_validator(mode="after")
        def _one(self) -> Keys:
            if not self.headers:
                raise ValueError("needs headers")
            return self

    monkeypatch.setattr(Webhook, "settings_type", Keys)
    made = {"method": "POST", "endpoint": HOOK, "body": {"JSON": {"n": 1}}}
    call = {"request": {"method": "POST", "url": HOOK}, "response": {"status": 200}}
    assert told(request=made, network=[call])["verdicts"][0]["outcome"] == "delivered"
    assert told()["verdicts"][0]["outcome"] == "dead"


def test_records_of_a_tool_that_is_not_http() -> None:
    found = told(type="file", settings={"path": "events"}, clock="2026-11-24T00:00:00Z")
    assert found["records"] == [{"target": "2026-11-24", "key": None, "body": RENT, "events": [0]}]


def test_records_need_no_connection_and_may_come_wrapped() -> None:
    inner = {"type": "track", "userId": "u", "event": "Rent", "integrations": {"KAFKA": {"topic": "boats"}}}
    wrapped = {"message": inner, "userId": "u", "topic": "boats"}
    found = told(events=[{"message": wrapped}, {"message": {"type": "identify"}}], type="KAFKA", settings={})
    assert [one["events"] for one in found["records"]] == [[0], [1]]
    assert found["records"][0]["target"] == "boats"
    assert found["records"][0]["body"] == inner


def test_what_is_around_a_destination_is_a_setting_where_there_is_one() -> None:
    sources = {"profiles_entity": "boat", "profiles_id_type": "name", "profiles_model": "age"}
    message = {"type": "identify", "userId": "u", "traits": {"years": 9}, "context": {"sources": sources}}
    around = {"id": "d", "workspace_id": "w"}
    found = told(events=[{"message": message}], type="REDIS", settings={}, destination=around)
    assert found["records"][0]["target"] == "w:d:boat:name:u"


def test_a_clock_that_is_no_time() -> None:
    with pytest.raises(Fixable, match="clock is no time"):
        told(clock="yesterday")


def test_an_unknown_type_has_a_did_you_mean() -> None:
    with pytest.raises(Fixable, match="webhook"):
        told(type="webhok")


def test_the_command_answers_line_by_line_and_names_the_line_that_is_none() -> None:
    line = json.dumps({"id": "1", "type": "webhook", "settings": {"webhook_url": HOOK}, "events": []})
    done = CliRunner().invoke(app, ["preview", "--jsonl"], input=f"{line}\n\n{line}\n")
    assert [json.loads(row)["id"] for row in done.stdout.splitlines()] == ["1", "1"]
    assert CliRunner().invoke(app, ["preview", "--jsonl"], input='{"id": 1}\n').exit_code != 0
    assert CliRunner().invoke(app, ["preview"]).exit_code == 2


LOGIN = {"username": "a@example.com", "password": "pw"}
LEAD = {"type": "identify", "userId": "u-7", "context": {"externalId": [{"type": "Salesforce-Lead", "id": "00Q1"}]}}


def test_requests_go_where_a_recorded_login_says_however_that_was_made() -> None:
    def login(host: str, to: str) -> dict[str, Any]:
        data = {"access_token": "t-9", "instance_url": f"https://{to}.example"}
        return {"request": {"method": "POST", "url": f"https://{host}/x"}, "response": {"status": 200, "data": data}}

    calls = [login("other.example", "far"), login("login.salesforce.com", "near")]
    found = told(type="salesforce", settings=LOGIN, events=[{"message": LEAD}], network=calls)
    assert found["requests"][0]["url"] == "https://near.example/services/data/v59.0/sobjects/Lead/00Q1"
    assert found["requests"][0]["headers"]["Authorization"] == "Bearer ***"
    alone = told(type="salesforce", settings=LOGIN, events=[{"message": LEAD}])
    assert alone["requests"][0]["url"].startswith("/services/")


def test_an_account_that_the_peer_keeps_must_give_what_its_definition_needs() -> None:
    def with_secret(**secret: Any) -> dict[str, Any]:
        events = [{"message": LEAD, "metadata": {"secret": secret}}]
        return told(type="SALESFORCE_OAUTH", settings={}, events=events)

    whole = with_secret(access_token="t", instanceUrl="https://crew.my.salesforce.com")
    assert whole["requests"][0]["url"].startswith("https://crew.my.salesforce.com/services/data/v50.0/")
    half = with_secret(access_token="t")
    assert half["requests"] == []
    assert half["verdicts"][0]["outcome"] == "pause"
    assert half["verdicts"][0]["reason"] == "no access token: the account gives no instance_url"


CALL = {"request": {"method": "GET", "url": "https://boats.example/1"}}


@pytest.mark.parametrize(("given", "where"), [
    ({"network": [{}]}, "network.0: request"),
    ({"network": [{"request": 7}]}, "network.0: request"),
    ({"network": [{"request": {"params": [1]}}]}, "network.0: request.params"),
    ({"network": [{"request": {"headers": "a: b"}}]}, "network.0: request.headers"),
    ({"network": [{**CALL, "response": 7}]}, "network.0: response"),
    ({"network": [{**CALL, "response": {"status": "fine"}}]}, "network.0: response.status"),
    ({"network": [{**CALL, "response": {"status": 200, "headers": 7}}]}, "network.0: response.headers"),
    ({"request": {"headers": 7}}, "request: headers"),
    ({"request": {"body": {"FORM": 7}}}, "request: body.FORM"),
    ({"request": {"body": {"XML": 7}}}, "request: body.XML"),
    ({"events": [{"message": {"endpoint": "e", "body": {"JSON_ARRAY": 7}}}]}, "events.0.message: body.JSON_ARRAY"),
    ({"events": [{"message": {"endpoint": "e", "body": {}, "params": 7}}]}, "events.0.message: params"),
    ({"constants": {"batch": "many"}}, "constants: batch"),
    ({"constants": {"timeout": []}}, "constants: timeout"),
])
def test_a_line_with_another_shape_says_where(given: dict[str, Any], where: str) -> None:
    case = {
        "id": "a", "type": "webhook", "settings": {"webhookUrl": "https://boats.example"},
        "events": [{"message": {"type": "track", "event": "x", "headers": 7}}], **given,
    }
    done = CliRunner().invoke(app, ["preview", "--jsonl"], input=json.dumps(case))
    assert done.exit_code == 1
    assert where in str(done.exception), done.exception
