"""What a script's results mean: RudderStack's shapes, event by event and for whole batches."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.transformations.conftest import Run, item
from transformations import Pool
from transformations.base import Failed, Outputs, Script

pytestmark = pytest.mark.asyncio(loop_scope="module")
NOT_OBJECT = "case.py: TypeError: returned event from transformEvent(event) is not an object"
NOT_OBJECTS = "case.py: TypeError: returned event in events array from transformEvent(event) is not an object"


def function(body: str) -> str:
    return f"def transformEvent(event, metadata):\n    {body}\n"


@pytest.mark.parametrize(("body", "outputs"), [
    ("return event", [{"messageId": "m", "n": 1}]),
    ("return {}", [{}]),
    ("return None", []),
    ("pass", []),
    ("return []", []),
    ("return [event, event]", [{"messageId": "m", "n": 1}] * 2),
    ("return [{'n': i} for i in range(3)]", [{"n": 0}, {"n": 1}, {"n": 2}]),
    ("return ({'a': 1},)", [{"a": 1}]),
    ("event['messageId'] = 'other'; return event", [{"messageId": "other", "n": 1}]),
    ("return {'t': (1, 2), 'f': 1.5, 'nan': float('nan'), 'inf': float('inf')}",
     [{"t": [1, 2], "f": 1.5, "nan": None, "inf": None}]),
    ("return {'big': 2 ** 80, 1: 'a', None: 'b', True: 'c', 1.5: 'd'}",
     [{"big": 2**80, "1": "c", "null": "b", "1.5": "d"}]),
    ("return {'lone': '\\ud800x', 'pair': '\\ud83d\\ude00'}", [{"lone": "\ufffdx", "pair": "😀"}]),
])
async def test_the_result_of_transform_event(run: Run, body: str, outputs: list[Any]) -> None:
    assert await run(function(body), {"messageId": "m", "n": 1}) == [outputs]


@pytest.mark.parametrize(("body", "reason"), [
    ("return 5", NOT_OBJECT),
    ("return 'text'", NOT_OBJECT),
    ("return False", NOT_OBJECT),
    ("return {1, 2}", NOT_OBJECT),
    ("return (x for x in [event])", NOT_OBJECT),
    ("return [event, 1]", NOT_OBJECTS),
    ("return [[event]]", NOT_OBJECTS),
    ("return [None]", NOT_OBJECTS),
    ("raise ValueError('no price')", "case.py:2: ValueError: no price"),
    ("return event['gone']", "case.py:2: KeyError: 'gone'"),
    ("assert 0", "case.py:2: AssertionError"),
    ("return {'s': {1}}", "case.py: TypeError: a set cannot stand in an event; use its text or number"),
    ("return {(1, 2): 1}", "case.py: TypeError: a tuple cannot be a key of an event; use text"),
    ("event['me'] = event; return event", "case.py: ValueError: the event is nested too deeply, or contains itself"),
    ("return {'x': 'x' * 2_000_000}", "case.py: ValueError: the returned event is larger than 1,048,576 bytes"),
    ("return [{}] * 1001", "case.py: ValueError: more than 1,000 events returned for one"),
    ("def f(): return f()\n    return f()", "case.py:2: RecursionError: maximum recursion depth exceeded"),
    ("raise ValueError('a\\nb\\x00c')", "case.py:2: ValueError: a b c"),
    ("return missing_", "case.py:2: NameError: name 'missing_' is not defined"),
])
async def test_what_a_script_gets_wrong_fails_that_event(run: Run, body: str, reason: str) -> None:
    assert await run(function(body), {"messageId": "m"}) == [Failed(reason)]


async def test_one_bad_event_leaves_the_others_alone(run: Run) -> None:
    source = function("return {'n': 10 / event['n']}")
    assert await run(source, {"n": 1}, {"n": 0}, {"n": 5}, b"nonsense", b"[1]", {"n": 2}) == [
        [{"n": 10}], Failed("case.py:2: ZeroDivisionError: division by zero"), [{"n": 2}],
        Failed("case.py: ValueError: the event is not valid JSON"),
        Failed("case.py: ValueError: the event is not a JSON object"), [{"n": 5}],
    ]


async def test_events_that_the_fast_decoder_refuses(run: Run) -> None:
    assert await run(function("return event"), b'{"a": "\\ud800", "n": 123456789012345678901234567890}') == [
        [{"a": "\ufffd", "n": 123456789012345678901234567890}]]


async def test_globals_live_for_a_batch_and_not_longer(run: Run) -> None:
    source = "N = 0\ndef transformEvent(event, metadata):\n    global N\n    N += 1\n    return {'n': N}\n"
    for _ in range(2):
        assert await run(source, {}, {}, {}) == [[{"n": 1}], [{"n": 2}], [{"n": 3}]]


async def test_metadata_is_that_of_the_event_with_this_message_id(pool: Pool) -> None:
    asked = "event", "{'messageId': 'b'}", "{'messageId': 'zz'}", "{}", ""
    script = Script("m", function(f"return [{', '.join(f'metadata({which})' for which in asked)}]"))
    items = [item({"messageId": "a"}, {"sourceId": "s1"}), item({"messageId": "b"}, {"sourceId": "s2"})]
    first, second = await pool.run(script, items)
    assert first == Outputs((b'{"sourceId":"s1"}', b'{"sourceId":"s2"}', b"{}", b"{}", b"{}"))
    assert second == Outputs((b'{"sourceId":"s2"}', b'{"sourceId":"s2"}', b"{}", b"{}", b"{}"))


async def test_metadata_is_a_copy_at_every_call(run: Run) -> None:
    source = function("metadata(event).clear(); return metadata(event)")
    assert await run(source, {"messageId": "a"}) == [[{"sourceId": "web"}]]


async def test_credentials_are_those_named_for_the_script(run: Run) -> None:
    source = function("return {'k': getCredential('key'), 'n': getCredential('nope'), 'o': getCredential(None)}")
    assert await run(source, {}, credentials={"key": "s3cret"}) == [[{"k": "s3cret", "n": None, "o": None}]]
    assert await run(source, {}) == [[{"k": None, "n": None, "o": None}]]


BATCH = "def transformBatch(events, metadata):\n    "


@pytest.mark.parametrize(("body", "outputs"), [
    ("return events", [["a"], ["b"], ["c"]]),
    ("return events[::-1]", [["a"], ["b"], ["c"]]),
    ("return [e for e in events if e['messageId'] != 'b']", [["a"], [], ["c"]]),
    ("return []", [[], [], []]),
    ("return [events[1], {'messageId': 'b', 'n': 2}]", [[], ["b", "b"], []]),
])
async def test_outputs_of_a_batch_belong_to_the_event_of_their_message_id(
    run: Run, body: str, outputs: list[list[Any]]
) -> None:
    ran = await run(BATCH + body, {"messageId": "a"}, {"messageId": "b"}, {"messageId": "c"})
    assert [[event.get("messageId") for event in row] for row in ran] == outputs


@pytest.mark.parametrize("output", ["{'messageId': 'new'}", "{}", "{'messageId': ['odd']}"])
async def test_an_unknown_message_id_fails_the_batch_as_in_rudderstack(run: Run, output: str) -> None:
    ran = await run(BATCH + f"return [events[0], {output}]", {"messageId": "a"}, {"messageId": "b"})
    assert len(ran) == 2
    assert all("a messageId that no input has" in one.reason for one in ran)


async def test_equal_message_ids_in_a_batch_go_in_turn(run: Run) -> None:
    events = [{"messageId": "d", "n": 1}, {"messageId": "d", "n": 2}]
    assert await run(BATCH + "return events", *events) == [[events[0]], [events[1]]]


@pytest.mark.parametrize(("body", "reason"), [
    ("return None", "case.py: TypeError: returned events from transformBatch(event) is not an array"),
    ("return events[0]", "case.py: TypeError: returned events from transformBatch(event) is not an array"),
    ("raise ValueError('x')", "case.py:2: ValueError: x"),
])
async def test_a_batch_that_fails_fails_whole(run: Run, body: str, reason: str) -> None:
    assert await run(BATCH + body, {"messageId": "a"}, {"messageId": "b"}) == [Failed(reason)] * 2


async def test_what_is_no_object_in_a_batch_fails_an_event_that_has_no_output(run: Run) -> None:
    ran = await run(BATCH + "return [events[0], 7, events[2]]", *({"messageId": i} for i in "abc"))
    assert ran[0] == [{"messageId": "a"}]
    assert ran[1] == Failed(
        "case.py: TypeError: returned event in events array from transformBatch(events) is not an object")
    assert ran[2] == [{"messageId": "c"}]


@pytest.mark.parametrize("names", ["", "def transformEvent(e, m): pass\ndef transformBatch(e, m): pass"])
async def test_exactly_one_function_is_expected(run: Run, names: str) -> None:
    (failed,) = await run(names, {})
    assert "Expected one of transformEvent,transformBatch. Found [" in failed.reason


async def test_time_and_chance_are_the_events(pool: Pool) -> None:
    source = (
        "import random, time, uuid\nfrom datetime import datetime, timezone, date\n"
        "def transformEvent(event, metadata):\n"
        "    return {'t': time.time(), 'n': datetime.now(timezone.utc).isoformat(), 'd': str(date.today()),\n"
        "            'u': datetime.utcnow().isoformat(), 'r': random.random(), 'id': str(uuid.uuid4())}\n")
    moment = {"receivedAt": "2026-11-23T09:36:56.779Z"}
    items = [item({"messageId": identity}, moment) for identity in ("a", "b", "a")]
    first, second, third = (json.loads(ran.events[0]) for ran in await pool.run(Script("t", source), items))
    assert first == third
    assert first["t"] == 1795426616.779
    assert first["n"] == "2026-11-23T09:36:56.779000+00:00"
    assert (first["d"], first["u"]) == ("2026-11-23", "2026-11-23T09:36:56.779000")
    assert second["r"] != first["r"]
    assert second["id"] != first["id"]
    other = await pool.run(Script("t2", source), items[:1])
    assert json.loads(other[0].events[0])["r"] != first["r"]


async def test_what_a_trial_logs(pool: Pool) -> None:
    source = function("log('a', {'k': 1}, None); print('b', 2); return [log('x' * 1000) or {}] * (len(event) - 1)")
    trial = await pool.trial(Script("l", source), [item({"a": 1, "b": 2})])
    assert trial.logs == ['a {"k":1} None', "b 2", "x" * 300]
    assert await pool.run(Script("l", source), [item({"a": 1})]) == [Outputs(())]
