"""How recorded cases become lines for `turnout preview --jsonl`, and what of the answers is compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tools.destination_vectors import compare
from tools.meaning import request_of
from tools.vector_cases import Vector, lines_of, vectors_in


def router(*connections: dict[str, Any]) -> Vector:
    inputs = [
        {"message": {"type": "record", "n": n}, "connection": {"config": {"destination": one}}}
        for n, one in enumerate(connections)
    ]
    return Vector("boats", "router", {"id": "r-1", "inputs": inputs, "destination": {"Config": {"key": "k"}}})


def processed(body: dict[str, Any], sent: dict[str, Any]) -> str:
    wanted = {"method": "POST", "endpoint": "https://api.example.com/batch", "body": {"JSON": body}}
    vector = Vector("boats", "processor", {"id": "p-1", "expect": {"output": [wanted]}})
    request = {"method": "POST", "url": "https://api.example.com/batch", "body": {"json": sent}, "events": [0]}
    answer = {"requests": [request], "records": [], "verdicts": [{"event": 0, "outcome": "delivered", "reason": ""}]}
    return compare(vector, [([0], answer)])


def test_what_is_set_at_a_connection_is_a_setting() -> None:
    (line,) = lines_of(router({"audienceId": "a"}, {"audienceId": "a"}), "BOATS")
    assert line["settings"] == {"audienceId": "a", "key": "k"}
    assert len(line["events"]) == 2


def test_other_connections_are_other_lines() -> None:
    one, other = lines_of(router({"audienceId": "a"}, {"audienceId": "b"}), "BOATS")
    assert [line["settings"]["audienceId"] for line in (one, other)] == ["a", "b"]


def test_a_destinations_own_settings_win() -> None:
    (line,) = lines_of(router({"key": "other"}), "BOATS")
    assert line["settings"]["key"] == "k"


def test_a_processor_shows_an_item_before_it_is_in_a_batch() -> None:
    assert processed({"boat": 1}, {"batch": [{"boat": 1}]}) == ""
    assert processed({"boat": 1}, {"boat": 1}) == ""


def test_a_batch_of_other_or_more_items_is_a_difference() -> None:
    assert "boat" in processed({"boat": 1}, {"batch": [{"boat": 2}]})
    assert processed({"boat": 1}, {"batch": [{"boat": 1}, {"boat": 1}]})
    assert processed({"boat": 1}, {"key": "k", "batch": [{"boat": 1}]})


def test_an_answer_without_settings_is_judged_with_those_of_the_first_good_case(tmp_path: Path) -> None:
    def made(url: str, expect: dict[str, Any]) -> dict[str, Any]:
        return {"id": url, "message": {}, "destination": {"Config": {"webhookUrl": url}}, "expect": expect}

    (tmp_path / "destinations").mkdir()
    (tmp_path / "destinations" / "webhook.json").write_text(json.dumps({
        "processor": [
            made("http://bad.example.com", {"error": "no", "statusCode": 400}), made("http://good.example.com", {}),
        ],
        "delivery": [
            {"id": "d-1", "request": {}, "expect": {}},
            {"id": "d-2", "request": {}, "destinationConfig": {"webhookUrl": "http://own.example.com"}, "expect": {}},
        ],
    }))
    lines = [lines_of(one, "WEBHOOK")[0] for one in vectors_in(tmp_path, ["webhook"]) if one.kind == "delivery"]
    assert [line["settings"]["webhookUrl"] for line in lines] == ["http://good.example.com", "http://own.example.com"]


def test_a_case_of_the_processor_is_asked_with_batches_and_without() -> None:
    case = {"id": "p-1", "message": {"type": "track"}, "destination": {"Config": {"key": "k"}}, "env": {"MOST": 3}}
    one, other = lines_of(Vector("boats", "processor", case), "BOATS")
    assert (one["id"], one["constants"]) == ('["p-1", [0]]', {"MOST": 3})
    assert (other["id"], other["constants"]) == ('["p-1", [0], "unbatched"]', {"MOST": 3, "batch": 1})
    assert one["settings"] == other["settings"] == {"key": "k"}


def test_the_array_of_a_batch_without_bodies_is_no_body() -> None:
    told = {"method": "GET", "endpoint": "https://api.example.com/a", "body": {"JSON_ARRAY": {"batch": "[]"}}}
    assert request_of(told) == request_of({"method": "GET", "url": "https://api.example.com/a"})


def test_what_a_peer_remembered_is_answered_from_its_other_cases() -> None:
    def call(method: str, path: str) -> dict[str, Any]:
        return {"request": {"method": method, "url": f"https://api.example.com{path}"}, "response": {"status": 200}}

    own, remembered, write = call("GET", "/boats"), call("GET", "/berths"), call("POST", "/tours")
    failed = {**call("POST", "/tours"), "response": {"status": 409}}
    wanted = {"method": "POST", "endpoint": "https://api.example.com/tours", "body": {"JSON": {"n": 1}}}
    case = {
        "id": "r-2", "inputs": [{"message": {}, "metadata": {"jobId": 7}}], "network": [own],
        "_network": [own, failed, remembered, write], "expect": {"batches": [{"jobs": [7], "requests": [wanted]}]},
    }
    vector = Vector("boats", "router", case)
    (line,) = lines_of(vector, "BOATS")
    assert line["network"] == [own, remembered, write]

    def request(method: str, path: str, **body: Any) -> dict[str, Any]:
        return {"method": method, "url": f"https://api.example.com{path}", "body": body, "events": [0]}

    asked = [request("GET", "/boats"), request("GET", "/berths")]
    answer = {"requests": asked, "records": [], "verdicts": [{"event": 0, "outcome": "delivered", "reason": ""}]}
    assert "1 requests expected, 0 found" in compare(vector, [([0], answer)])
    assert compare(vector, [([0], {**answer, "requests": [*asked, request("POST", "/tours", json={"n": 1})]})]) == ""


@pytest.mark.parametrize(
    ("error", "outcome"), [("", "delivered"), ("aborted", "dead"), ("retryable", "retry"), ("throttled", "retry")]
)
def test_an_error_that_a_success_hides_is_judged_by_its_kind(error: str, outcome: str) -> None:
    expect = {"status": 201, **({"errorType": error} if error else {})}
    vector = Vector("boats", "delivery", {"id": "d-1", "expect": expect})
    for found in ("delivered", "dead", "retry"):
        verdict = {"event": 0, "outcome": found, "reason": ""}
        answer = {"requests": [], "records": [], "verdicts": [verdict]}
        assert (compare(vector, [([0], answer)]) == "") is (found == outcome)


def test_other_accounts_are_other_lines() -> None:
    inputs = [{"message": {}, "metadata": {"jobId": n, "secret": {"token": token}}} for n, token in enumerate("aab")]
    lines = lines_of(Vector("boats", "router", {"id": "r-1", "inputs": inputs, "destination": {"Config": {}}}), "BOATS")
    assert [len(line["events"]) for line in lines] == [2, 1]
    assert [line["events"][0]["metadata"]["secret"]["token"] for line in lines] == ["a", "b"]


BOAT = "https://api.example.com/boats"


def routed(batches: list[dict[str, Any]], sent: list[dict[str, Any]], outcome: str = "delivered") -> str:
    case = {
        "id": "r-1", "inputs": [{"message": {}, "metadata": {"jobId": 7}}], "expect": {"batches": batches},
        "network": [{"request": {"method": "POST", "url": BOAT}}],
    }
    requests = [{"method": "POST", "url": BOAT, "events": [0], "body": {"json": body}} for body in sent]
    verdicts = [{"event": 0, "outcome": outcome, "reason": ""}]
    answer = {"requests": requests, "records": [], "verdicts": verdicts}
    return compare(Vector("boats", "router", case), [([0], answer)])


def test_what_a_peer_says_it_has_sent_already_is_looked_for_among_what_is_sent_on_the_way() -> None:
    wanted = {"method": "POST", "endpoint": BOAT, "body": {"JSON": {"boat": 1}}}
    batches = [{"jobs": [7], "statusCode": 299, "requests": [wanted]}]
    assert routed(batches, [{"boat": 1}]) == ""
    assert routed(batches, [{"boat": 1}, {"boat": 2}]) == "", "what else is asked on the way is not compared"
    assert "1 requests expected" in routed(batches, [{"boat": 2}])


def test_a_failure_of_the_network_is_retried_whatever_its_status() -> None:
    for kind, outcome, same in (("retryable", "pause", True), ("retryable", "dead", False), ("aborted", "dead", True)):
        batches = [{"jobs": [7], "statusCode": 400, "error": "no", "errorType": kind}]
        assert (routed(batches, [], outcome) == "") is same


def test_a_router_that_sends_events_apart_is_asked_without_batches_too() -> None:
    case = router({"audienceId": "a"}, {"audienceId": "b"}).case
    for batched, expected in ((False, [None, None, 1, 1]), (True, [None, None])):
        batches = [{"jobs": [0], "batched": False}, {"jobs": [1], "batched": batched}]
        lines = lines_of(Vector("boats", "router", {**case, "expect": {"batches": batches}}), "BOATS")
        assert [line["constants"].get("batch") for line in lines] == expected
    assert [json.loads(line["id"]) for line in lines] == [["r-1", [0]], ["r-1", [1]]]


def judged(expect: dict[str, Any], outcome: str) -> str:
    answer = {"requests": [], "records": [], "verdicts": [{"event": 0, "outcome": outcome, "reason": ""}]}
    return compare(Vector("boats", "delivery", {"id": "d-1", "expect": expect}), [([0], answer)])


def test_a_token_that_expired_may_pause() -> None:
    assert judged({"status": 400}, "pause")
    assert judged({"status": 400, "meta": "accessTokenExpired"}, "pause") == ""
    assert judged({"status": 400, "meta": "accessTokenExpired"}, "dead") == ""
    assert judged({"status": 400, "meta": "accessTokenExpired"}, "retry")


@pytest.mark.parametrize(("status", "same"), [(401, True), (403, False)])
def test_a_401_of_the_tool_pauses_whatever_the_peer_calls_it(status: int, same: bool) -> None:
    call = {"request": {"method": "POST", "url": BOAT}, "response": {"status": status}}
    answer = {"requests": [], "records": [], "verdicts": [{"event": 0, "outcome": "pause", "reason": ""}]}
    case = {"id": "d-1", "expect": {"status": 400}, "network": [call]}
    assert (compare(Vector("boats", "delivery", case), [([0], answer)]) == "") is same


def test_a_login_that_a_peer_remembered_is_known_in_every_case(tmp_path: Path) -> None:
    login = {"request": {"url": "https://login.example"}, "response": {"status": 200, "data": {"access_token": "t"}}}
    other = {"request": {"url": "https://api.example"}, "response": {"status": 200, "data": {"boats": []}}}
    case = {"id": "p-1", "message": {}, "destination": {"Config": {}}, "expect": {"output": []}}
    (tmp_path / "destinations").mkdir()
    (tmp_path / "destinations" / "webhook.json").write_text(json.dumps({
        "processor": [case, {**case, "id": "p-2", "network": [other]}], "all_network_mocks": [login, other],
    }))
    one, two = vectors_in(tmp_path, ["webhook"])
    assert lines_of(one, "WEBHOOK")[0]["network"] == [login]
    assert lines_of(two, "WEBHOOK")[0]["network"] == [other, login]


def test_the_definition_of_a_case_says_which_settings_are_implied() -> None:
    def kind(definition: str) -> str:
        destination = {"Config": {}, "DefinitionName": definition}
        vector = Vector("salesforce", "processor", {"id": "p", "message": {}, "destination": destination})
        return str(lines_of(vector, "SALESFORCE")[0]["type"])

    assert kind("SALESFORCE_OAUTH") == "SALESFORCE_OAUTH"
    assert kind("WEBHOOK") == kind("") == "SALESFORCE"
