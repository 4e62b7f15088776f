"""What scripts ask for: arguments read without trust, recorded answers, Python's way to ask."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transformations.conftest import item
from transformations import Pool
from transformations.base import Answer, Failed, Outputs, Question, Script
from transformations.fetch import Unasked, private, read_address, read_fetch
from transformations.questions import Questions
from transformations.recorded import Recorded
from transformations.replies import masked, text
from transformations.sandbox import wire
from turnout.errors import ScriptError

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


async def test_what_cannot_be_answered_is_an_error_of_the_script_and_no_fault_of_the_pool() -> None:
    async def reach(_: Script, questions: Any) -> list[Answer]:
        raise ZeroDivisionError

    pool = Pool(reach=reach)
    await pool.start()
    source = "def transformEvent(event, metadata):\n    return geolocation('::1')\n"
    try:
        (ran,) = await pool.run(Script("s", source, file="s.py"), [item({})])
    finally:
        await pool.stop()
    assert ran == Failed("s.py:2: RuntimeError: geolocation failed")


async def test_what_a_batch_asks_is_asked_in_portions_however_much_it_is() -> None:
    """200 events that fetch ten times with a large body each: more than 1,000 questions, and more than a frame."""
    asked: list[int] = []

    async def reach(_: Script, questions: Any) -> list[Answer]:
        asked.append(len(questions))
        return [Answer({"url": "", "status": 200, "headers": {}, "body": "1"})] * len(questions)

    pool = Pool(reach=reach)
    await pool.start()
    source = """export async function transformEvent(event) {
      const asking = () => fetch("https://a.example", {body: "x".repeat(4000)});
      const all = await Promise.all(Array.from({length: 10}, asking));
      return {n: all.length};
    }"""
    try:
        ran = await pool.run(Script("s", source, file="s.js", language="javascript"), [item({})] * 200)
        large = source.replace("4000", "1e6")
        (refused,) = await pool.run(Script("l", large, file="s.js", language="javascript"), [item({})])
        kills = [sample for sample in pool.stats() if sample[0] == "transform_kills"]
    finally:
        await pool.stop()
    assert {one.events for one in ran if isinstance(one, Outputs)} == {(b'{"n":10}',)}
    assert sum(asked) == 2000
    assert refused == Outputs((b'{"n":10}',)), "a fetch that is too large fails like any other"
    assert kills == []


@pytest.mark.parametrize("headers", [
    {"Host": "internal.example"}, {"content-length": "3"}, {"Transfer-Encoding": "chunked"}, {"Connection": "close"},
    {"proxy-authorization": "x"}, {"HOST": "x", "Upgrade": "y"},
])  # fmt: skip
def test_headers_that_are_not_a_scripts_to_say_are_left_out(headers: dict[str, str]) -> None:
    assert read_fetch(["https://a.example", {"headers": {**headers, "X-Mark": "1"}}]).headers == {"X-Mark": "1"}


@pytest.mark.parametrize("headers", [{"X: y": "z"}, {"": "x"}, {"a b": "x"}, {"é": "x"}, {"X": "y" * 40_000}])
def test_headers_that_are_none(headers: dict[str, str]) -> None:
    with pytest.raises(Unasked, match="fetch headers"):
        read_fetch(["https://a.example", {"headers": headers}])


def test_the_scope_of_an_address_is_not_looked_up() -> None:
    assert read_address(["fe80::1%eth0"]) == "fe80::1"


async def test_credentials_are_not_told_in_reasons() -> None:
    pool = Pool()
    await pool.start()
    python = "def transformEvent(event, metadata):\n    raise ValueError(getCredential('key'))\n"
    loading = "throw new Error(getCredential('key')); export const transformEvent = e => e;"
    try:
        told = Script("p", python, file="p.py", credentials={"key": "s3cr3t-token", "short": "a"})
        at_load = Script("j", loading, file="j.js", language="javascript", credentials={"key": "s3cr3t-token"})
        results = [*await pool.run(told, [item({})]), *await pool.run(at_load, [item({})])]
        with pytest.raises(ScriptError) as caught:
            await pool.check(at_load)
    finally:
        await pool.stop()
    assert [one.reason for one in results if isinstance(one, Failed)] == [
        "p.py:2: ValueError: ***", "j.js:1: Error: ***",
    ]  # fmt: skip
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    "secret", ["one line\nanother one", "tab\there", 'with "quotes" in it', " spaces-around\n", "é-und-ü"]
)
def test_credentials_are_masked_however_an_error_writes_them(secret: str) -> None:
    one = Script("s", "", credentials={"key": secret})
    for reason in (secret, repr(secret), json.dumps(secret), secret.strip(), f"KeyError: {secret!r}", quote(secret)):
        assert secret.strip()[:5] not in masked(text(reason.encode()), one)
    assert masked("nothing of it", one) == "nothing of it"


@pytest.mark.parametrize("url", [
    "http://[::1%.example.com]/", "http://127.0.0.1 .example.com/", "http://a%00.example.com/", "http://a%2f.example.com/",
    "http://a;.example.com/", "http://a,b.example.com/", "http://a\x7f.example.com/", "http://a'.example.com/",
])  # fmt: skip
def test_hosts_of_characters_that_no_name_has(url: str) -> None:
    with pytest.raises(Unasked, match="fetch url is not valid"):
        read_fetch([url])


@pytest.mark.parametrize("url", ["http://[2001:db8::1]:8080/x", "http://a_b.example.com/", "http://bücher.example/"])
def test_hosts_that_are_names_or_addresses(url: str) -> None:
    assert read_fetch([url]).host


# ---- what a run may ask in all


def asked(*args: Any, number: int = 1) -> bytes:
    return b"A" + json.dumps([{"id": i, "verb": "fetch", "args": args} for i in range(number)]).encode()


async def told(questions: Questions, payload: bytes) -> list[Any]:
    return [one.get("value", one.get("error")) for one in json.loads(await questions(payload))]


async def test_questions_are_some_and_bounded_in_number_and_size() -> None:
    with pytest.raises(wire.Garbled, match="asks nothing"):
        await Questions(SCRIPT, RECORDED)(b"A[ ]")
    with pytest.raises(wire.Garbled, match="more than 1000 times"):
        await Questions(SCRIPT, RECORDED)(asked("x", number=1001))
    questions = Questions(SCRIPT, RECORDED)
    large = asked("x" * (wire.MAX_ASK - 100))
    with pytest.raises(wire.Garbled, match="asks too much"):
        for _ in range(wire.MAX_ASKED // wire.MAX_ASK + 2):
            await questions(large)
    assert 1 < questions.count < 20


async def test_answers_are_told_until_their_room_is_full() -> None:
    body = "x" * (1 << 20)

    async def reach(_: Script, questions: Any) -> list[Answer]:
        return [Answer({"body": body}) for _ in questions]

    found = await told(Questions(SCRIPT, reach), asked("x", number=100))
    size = sum(len(json.dumps(one)) for one in found)
    assert size < wire.MAX_TELL + 10_000
    assert found[0] == {"body": body}
    assert found[-1] == "the answers are larger than 33,554,432 bytes together"
    assert found.count({"body": body}) == 31


async def test_a_run_waits_so_long_and_keeps_what_came_until_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transformations.questions.MOST_WAITING", 0.05)
    ended: list[str] = []

    async def reach(_: Script, questions: Any) -> list[Answer]:
        if questions[0].args[0] == "slow":
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("slow")
        return [Answer("quick")]

    questions = Questions(SCRIPT, reach)
    payload = json.dumps([{"id": i, "verb": "fetch", "args": [x]} for i, x in enumerate(("quick", "slow", "quick"))])
    late = "the run has waited 0.05 s already"
    assert await told(questions, b"A" + payload.encode()) == ["quick", late, "quick"]
    assert await told(questions, asked("quick")) == [late]
    await asyncio.sleep(0)
    assert ended == ["slow"]


async def test_an_answer_that_cannot_be_written_is_an_error_of_its_question() -> None:
    async def reach(_: Script, questions: Any) -> list[Answer]:
        return [Answer({"header": "Z\udcfcrich"} if questions[0].args[0] == "bad" else "good")]

    payload = json.dumps([{"id": i, "verb": "fetch", "args": [x]} for i, x in enumerate(("good", "bad", "good"))])
    assert await told(Questions(SCRIPT, reach), b"A" + payload.encode()) == ["good", "fetch failed", "good"]
