"""What scripts ask for: arguments read without trust, recorded answers, Python's way to ask."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transformations.conftest import item
from transformations import Pool
from transformations.base import Answer, Failed, Question, Script
from transformations.fetch import Unasked, private, read_address, read_fetch
from transformations.recorded import Recorded

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
)
RECORDED = Recorded(
    [
        {"request": ["https://api.example.com/a"], "status": 200, "headers": {"x": "y"}, "body": '{"n": 1}'},
        {"request": ["https://api.example.com/a"], "status": 404, "headers": {}, "body": "gone"},
        {"request": ["https://api.example.com/b", {"method": "POST"}], "error": "Timed Out"},
    ],
    {"203.0.113.7": {"country": "NZ"}},
)
SCRIPT = Script("s", "")


@given(st.lists(JSON, max_size=3))
def test_reading_arguments_never_fails_otherwise(args: list[Any]) -> None:
    for read in (read_fetch, read_address):
        try:
            read(args)
        except Unasked as error:
            assert str(error)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "fetch url is required"),
        ([7], "fetch url is required"),
        (["ftp://x.example/"], "invalid protocol, only http and https are supported"),
        (["https://"], "fetch url is not valid"),
        (["https://x.example:99999/"], "fetch url is not valid"),
        (["https://x.example/", {"method": "TRACE"}], "fetch method must be one of"),
        (["https://x.example/", {"headers": {"a": "b\r\nc: d"}}], "fetch headers must not contain line breaks"),
        (["https://x.example/", {"body": "x" * (1 << 20 | 1)}], "fetch body is larger than"),
    ],
)
def test_what_fetch_refuses(args: list[Any], said: str) -> None:
    with pytest.raises(Unasked, match=said):
        read_fetch(args)


def test_a_request_is_read_whole() -> None:
    options = {"method": "post", "headers": {"A": 1}, "body": {"b": [1]}}
    found = read_fetch(["https://API.example.com:8443/x?y#z", options])
    assert (found.host, found.method) == ("api.example.com", "POST")
    assert (found.headers, found.body) == ({"A": "1"}, b'{"b":[1]}')


@pytest.mark.parametrize(
    "host", ["localhost", "a.localhost", "127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "fd00::1"]
)
def test_hosts_that_say_they_are_private(host: str) -> None:
    assert private(host)
    assert not private("api.example.com")
    assert not private("8.8.8.8")


async def ask(verb: str, *args: Any) -> Any:
    (answer,) = await RECORDED(SCRIPT, [Question(verb, args)])
    return answer.value if answer.error is None else answer.error


async def test_recorded_answers_come_in_turn_and_the_last_stays() -> None:
    bodies = [(await ask("fetch", "https://api.example.com/a"))["body"] for _ in range(3)]
    assert bodies == ['{"n": 1}', "gone", "gone"]
    assert await ask("fetch", "https://api.example.com/b", {"method": "POST"}) == "Timed Out"
    assert await ask("fetch", "https://other.example/") == "no answer is recorded for GET https://other.example/"
    assert await ask("fetch", "http://127.0.0.1:1/") == "blocked request to non-public address: 127.0.0.1"
    assert await ask("geolocation", "203.0.113.7") == {"country": "NZ"}
    assert await ask("geolocation", "203.0.113.8") == "geolocation is not available right now"
    assert await ask("geolocation", "there") == "invalid ip address"
    assert await ask("telepathy") == "telepathy is not known"


async def test_python_asks_and_goes_on_with_its_own_time() -> None:
    async def reach(_: Script, questions: Any) -> list[Answer]:
        return list(await RECORDED(SCRIPT, questions))

    pool = Pool(reach=reach)
    await pool.start()
    source = """def transformEvent(event, metadata):
    if event.get("place"):
        return {"place": geolocation(event["place"])}
    found = fetch(event["url"], {"method": event["method"]}) if "method" in event else fetch(event["url"])
    return {"status": found["status"], "body": found["body"]}
"""
    events: list[dict[str, Any]] = [
        {"url": "https://api.example.com/a"}, {"url": "https://api.example.com/b", "method": "POST"},
        {"place": "203.0.113.7"}, {"place": "nowhere"}, {"place": 7},
    ]  # fmt: skip
    try:
        ran = await pool.run(Script("s", source, file="s.py"), [item(event) for event in events])
    finally:
        await pool.stop()
    assert [one.reason if isinstance(one, Failed) else json.loads(one.events[0]) for one in ran] == [
        {"status": 404, "body": "gone"},
        "s.py:4: RuntimeError: Timed Out",
        {"place": {"country": "NZ"}},
        "s.py:3: ValueError: geolocation: invalid ip address (status code: 400)",
        "s.py:3: TypeError: geolocation takes a single string argument",
    ]
