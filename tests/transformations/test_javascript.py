"""JavaScript scripts: what they may return, what they find, how they fail."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from tests.transformations.conftest import item
from transformations import Pool
from transformations.base import Answer, Failed, Library, Outputs, Question, Script
from turnout.errors import ScriptError

pytestmark = pytest.mark.asyncio(loop_scope="module")
Run = Callable[..., Awaitable[list[Any]]]
RECEIVED = "2026-03-04T05:06:07.089Z"


def script(source: str, libraries: dict[str, str] | None = None, **options: Any) -> Script:
    libs = tuple(Library(n, c, f"lib/{n}.js", "javascript") for n, c in (libraries or {}).items())
    return Script("case", source, file="case.js", language="javascript", libraries=libs, **options)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def js(pool: Pool) -> Run:
    """`await js(source, *events, **options)`: per event a list of outputs, or the reason it failed."""

    async def running(source: str, *events: Any, libraries: dict[str, str] | None = None, **options: Any) -> list[Any]:
        notes = {"sourceId": "web", "receivedAt": RECEIVED}
        results = await pool.run(script(source, libraries, **options), [item(event, notes) for event in events])
        return [ran.reason if isinstance(ran, Failed) else [json.loads(raw) for raw in ran.events] for ran in results]

    return running


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        ("event", [{"n": 1}]),
        ("null", []),
        ("undefined", []),
        ("[]", []),
        ("[event, {b: 2}]", [{"n": 1}, {"b": 2}]),
        ("{}", [{}]),
        ("Promise.resolve(event)", [{"n": 1}]),
        ("Promise.resolve(null)", []),
        ("{a: NaN, b: undefined, c: () => 1, d: new Date(0)}", [{"a": None, "d": "1970-01-01T00:00:00.000Z"}]),
    ],
)
async def test_what_transform_event_may_return(js: Run, returned: str, expected: Any) -> None:
    assert await js(f"export function transformEvent(event) {{ return ({returned}); }}", {"n": 1}) == [expected]


@pytest.mark.parametrize("returned", ["1", "'x'", "false", "new Date()", "new Map()", "[{}, 1]", "[[]]"])
async def test_what_is_no_object_is_an_error_of_that_event_only(js: Run, returned: str) -> None:
    source = f"export const transformEvent = event => event.bad ? ({returned}) : event;"
    first, second, third = await js(source, {"n": 1}, {"bad": 1}, {"n": 3})
    assert (first, third) == ([{"n": 1}], [{"n": 3}])
    array = " in events array" if returned.startswith("[") else ""
    assert second == f"case.js: TypeError: returned event{array} from transformEvent(event) is not an object"


async def test_errors_name_file_line_and_message(js: Run) -> None:
    library = {"deep": "// one\nexport function fall(x) {\n  return x.y.z;\n}\n"}
    source = "import {fall} from 'deep';\n\nexport function transformEvent(event) {\n  return fall(event);\n}\n"
    (said,) = await js(source, {"n": 1}, libraries=library)
    assert said.startswith("lib/deep.js:3: TypeError: ")
    assert await js("export const transformEvent = e => {\n throw new RangeError('no') }", {}) == [
        "case.js:2: RangeError: no"
    ]
    assert await js("export const transformEvent = e => { throw 'plain' }", {}) == ["case.js: plain"]
    assert await js("export const transformEvent = async e => { await 1;\n throw new Error('later') }", {}) == [
        "case.js:2: Error: later"
    ]


async def test_a_promise_that_never_settles_is_an_error(js: Run) -> None:
    source = "export const transformEvent = e => e.n ? new Promise(() => 0) : e;"
    said = "case.js: Error: timed out: the promise it returned is never settled"
    assert await js(source, {"n": 1}, {}) == [said, [{}]]


async def test_outputs_keep_the_order_of_the_inputs(js: Run) -> None:
    source = """export async function transformEvent(event) {
        for (let i = 0; i < 5 - event.n; i++) await 0;
        return event;
    }"""
    events = [{"n": n} for n in range(5)]
    assert await js(source, *events) == [[event] for event in events]


async def test_transform_batch_gives_outputs_to_their_message_ids(js: Run) -> None:
    source = """export function transformBatch(events, metadata) {
        const kept = events.filter(e => !e.drop);
        return [...kept.reverse(), {messageId: 'new'}, 7];
    }"""
    events = [{"messageId": "a", "n": 1}, {"messageId": "b", "drop": 1}, {"messageId": "c", "n": 3}]
    first, second, third = await js(source, *events)
    assert first == [events[0], {"messageId": "new"}]
    assert second == "case.js: returned event in events array from transformBatch(event) is not an object"
    assert third == [events[2]]
    said = "case.js: TypeError: returned events from transformBatch(event) is not an array"
    assert await js("export const transformBatch = events => 1", {}, {}) == [said, said]


async def test_the_first_version_of_rudderstacks_scripts_runs(js: Run) -> None:
    source = "function transform(events) { seen = events.length; return events.map(e => ({...e, seen})); }"
    assert await js(source, {"messageId": "1"}, {"messageId": "2"}) == [
        [{"messageId": "1", "seen": 2}], [{"messageId": "2", "seen": 2}],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("export const a = 1;", r"case.js:1: Expected one of transformEvent,transformBatch. Found none"),
        (
            "export function transformEvent(e) {} export function transformBatch(e) {}",
            r"case.js:1: Expected one of transformEvent,transformBatch. Found transformEvent,transformBatch",
        ),
        ("export default function transformEvent(e) {}", r"case.js:1: Expected one of .* Found none"),
        ("\n\nexport function transformEvent(e) { return e; \n",
         r"case.js:3: SyntaxError: unexpected end of input at the end of the file$"),
        ("if (1) {\n\n", r"case.js:1: SyntaxError: unexpected end of input at the end of the file$"),
        ("export const transformEvent = [1,", r"case.js:1: SyntaxError: .*is a bracket or a quote left open\?\)$"),
        ("{ export const transformEvent = 1; }", r"case.js:1: SyntaxError: .*is a whole statement outside of blocks.*"),
        ("const a = + ) '';", r"case.js:1: SyntaxError: unexpected token in expression: '\)'$"),
        ("import {a} from 'gone'; export const transformEvent = a;", r"case.js:1: import from gone failed. Module"),
        ("\nthrow new TypeError('at once'); export const transformEvent = e => e;", r"case.js:2: TypeError: at once"),
        ("await new Promise(() => 0); export const transformEvent = e => e;", r"case.js:.*waits for something.*"),
    ],
)  # fmt: skip
async def test_check_says_what_is_wrong(pool: Pool, source: str, said: str) -> None:
    with pytest.raises(ScriptError, match=said):
        await pool.check(script(source))


@pytest.mark.parametrize(("name", "hint"), [
    ("monye", " Did you mean money?"), ("./money.js", " Did you mean money?"), ("my_rates", " Did you mean myRates?"),
    ("myrates", " Did you mean myRates?"), ("turnout/hahs", " Did you mean turnout/hash?"),
    ("@rs/hash/v2", " Did you mean @rs/hash/v1?"), ("lodash", ""),
])  # fmt: skip
async def test_a_misspelt_import_says_what_may_be_meant(pool: Pool, name: str, hint: str) -> None:
    libraries = {"money": "export const a = 1;", "my-rates": "export const a = 1;"}
    with pytest.raises(ScriptError) as raised:
        await pool.check(script(f"import {{a}} from '{name}'; export const transformEvent = a;", libraries=libraries))
    assert str(raised.value) == f"case.js:1: import from {name} failed. Module not found.{hint}"


async def test_libraries_by_name_by_camel_case_and_in_every_form_of_import(js: Run) -> None:
    libraries = {
        "My helper lib": "export const one = 1, {two, deep: [three]} = {two: 2, deep: [3]};\n"
                         "export default class Box { value() { return 4; } }\nfunction five() { return 5; }\n"
                         "export {five as cinq};\nexport * from 'base';\nexport {six as sechs} from 'base';\n",
        "base": "export let six = 6; export async function seven() { return 7; }",
    }  # fmt: skip
    source = """import Box, {one, two as zwei, three, cinq, sechs} from 'myHelperLib';
import * as all from "myHelperLib";
import 'base';
export async function transformEvent(event) {
  return {sum: [one, zwei, three, new Box().value(), cinq(), all.six, await all.seven(), sechs].join("")};
}"""
    assert await js(source, {}, libraries=libraries) == [[{"sum": "12345676"}]]
    frozen = "import * as all from 'base'; export const transformEvent = e => { all.six = 7; return e; }"
    (said,) = await js(frozen, {}, libraries=libraries)
    assert said.startswith("case.js:1: TypeError: ")
    circle = {"a": "import 'b'", "b": "import 'a'"}
    (said,) = await js("import 'a'; export const transformEvent = e => e;", {}, libraries=circle)
    assert "Libraries import each other: a → b → a" in said


async def test_text_that_looks_like_modules_is_left_alone(js: Run) -> None:
    source = """const text = "import x from 'y'; export const z = 1", re = /import|export "/g;
// export const transformBatch = 1;
/* import a from 'b' */
export function transformEvent(event) {
  return {a: text, b: `${text} ${`export ${1 / 2}`}`, c: "/".replace(/[/]import/, ""), d: 4 / 2 / 1, e: re.source};
}"""
    (outputs,) = await js(source, {})
    assert outputs[0]["a"] == "import x from 'y'; export const z = 1"
    assert outputs[0]["d"] == 2
    assert outputs[0]["e"] == 'import|export "'


async def test_metadata_is_a_copy_of_what_is_known(js: Run) -> None:
    source = """export function transformEvent(event, metadata) {
        metadata(event).sourceId = 'spoilt';
        return {known: metadata(event), unknown: metadata({messageId: 'x'}), none: metadata()};
    }"""
    known = {"sourceId": "web", "receivedAt": RECEIVED}
    (outputs,) = await js(source, {"messageId": "1"})
    assert outputs == [{"known": known, "unknown": {}, "none": {}}]


async def test_time_and_chance_are_the_events(js: Run) -> None:
    source = """export function transformEvent(event) {
        return {id: event.messageId, now: Date.now(), iso: new Date().toISOString(), year: new Date(0).getFullYear(),
                text: Date().slice(0, 15), is: new Date() instanceof Date, random: [Math.random(), Math.random()]};
    }"""
    events = [{"messageId": "1"}, {"messageId": "2"}]
    once, again = await js(source, *events), await js(source, *reversed(events))
    assert once == again[::-1]
    (first,), (second,) = once
    assert first["iso"] == RECEIVED
    assert (first["year"], first["text"], first["is"]) == (1970, "Wed Mar 04 2026", True)
    assert len({*first["random"], *second["random"]}) == 4
    assert all(0 <= number < 1 for number in first["random"])


async def test_logs_credentials_and_globals(pool: Pool) -> None:
    source = """export function transformEvent(event) {
        log('a', {k: 1}, null, undefined, 2n); console.log('not shown');
        return {token: getCredential('token'), none: getCredential('x') === undefined,
                globals: [typeof setTimeout, typeof require, typeof process, typeof performance, typeof fetch].join()};
    }"""
    made = script(source, credentials={"token": "secret-value"})
    trial = await pool.trial(made, [item({})])
    assert trial.logs == ['a {"k":1} null undefined 2']
    assert json.loads(trial.results[0].events[0]) == {
        "token": "secret-value", "none": True, "globals": "undefined,undefined,undefined,undefined,function",
    }  # fmt: skip
    assert await pool.run(script("export const transformEvent = e => getCredential(null)"), [item({})]) == [
        Failed("case.js:1: TypeError: Key should be valid and defined")
    ]


async def test_lone_surrogates_are_replaced_as_everywhere(js: Run) -> None:
    source = "export const transformEvent = e => ({...e, cut: '\\u{1F600}'.slice(0, 1), seen: e.text.length});"
    assert await js(source, b'{"text": "a\\ud83d"}', {"text": "\U0001f600"}) == [
        [{"text": "a\ufffd", "cut": "\ufffd", "seen": 2}], [{"text": "\U0001f600", "cut": "\ufffd", "seen": 2}],
    ]  # fmt: skip


async def test_a_loop_costs_its_event_and_no_other(pool: Pool) -> None:
    source = "export const transformEvent = e => { while (e.loop); return e; }"
    events = [{"n": 0}, {"n": 1, "loop": 1}, {"n": 2}]
    first, second, third = await pool.run(script(source, timeout=1.0), [item(event) for event in events])
    assert (first, third) == (Outputs((b'{"n":0}',)), Outputs((b'{"n":2}',)))
    assert isinstance(second, Failed)
    assert second.kind == "timeout"  # the engine's own clock, or on a busy machine the pool's


async def test_a_batch_that_runs_out_of_memory_costs_the_event_at_fault(js: Run) -> None:
    source = """export const transformEvent = e => {
        const kept = []; while (e.hoard) kept.push(new Array(100000).fill(e)); return e; }"""
    events = [{"n": 0}, {"n": 1, "hoard": 1}, {"n": 2}]
    first, second, third = await js(source, *events)
    assert (first, third) == ([{"n": 0}], [{"n": 2}])
    assert "memory" in second


async def test_globals_are_fresh_in_every_batch(js: Run) -> None:
    source = "let n = 0; Object.prototype.left ??= 0; export const transformEvent = e => ({n: ++n, left: {}.left++});"
    for _ in range(2):
        assert await js(source, {}, {}) == [[{"n": 1, "left": 0}], [{"n": 2, "left": 0}]]


async def test_questions_reach_the_parent_all_at_once_and_their_time_does_not_count() -> None:
    asked: list[Question] = []
    together = asyncio.Event()

    async def reach(_: Script, questions: Any) -> list[Answer]:
        asked.extend(questions)
        if len(asked) >= 4:
            together.set()
        await together.wait()
        return [
            Answer({"url": q.args[0], "status": 200, "headers": {}, "body": '{"n": 1}'}) if "good" in q.args[0]
            else Answer(error="no such host") for q in questions
        ]  # fmt: skip

    pool = Pool(reach=reach)
    await pool.start()
    try:
        source = """export async function transformEvent(event) {
            const [a, b] = await Promise.all([fetchV2(event.url), fetch(event.url)]);
            const c = await fetchV2(event.url, {method: 'POST'});
            return {a: a.body, b, c: c.status};
        }"""
        events = [item({"url": "https://good.example/"}), item({"url": "https://bad.example/"})]
        good, bad = await pool.run(script(source), events)
    finally:
        await pool.stop()
    assert not isinstance(good, Failed)
    assert json.loads(good.events[0]) == {"a": {"n": 1}, "b": {"n": 1}, "c": 200}
    assert bad == Failed("case.js: Error: no such host")
    assert len(asked) == 5
    assert asked[4] == Question("fetch", ("https://good.example/", {"method": "POST"}))


async def test_half_a_character_is_an_error_like_any_other(js: Run, pool: Pool) -> None:
    """What slices text cuts pairs of surrogates, in whatever is said to the pool."""
    loading = "throw new Error('half \\ud83d'); export const transformEvent = e => e;"
    assert await js(loading, {}) == ["case.js:1: Error: half \ufffd"]
    running = "export const transformEvent = e => { throw new Error(e.name.slice(0, 3)); };"
    assert await js(running, {"name": "ab\U0001f600"}) == ["case.js:1: Error: ab\ufffd"]
    logging = "export const transformEvent = e => { log('a'.repeat(299) + e.name); return {n: 1}; };"
    trial = await pool.trial(script(logging), [item({"name": "\U0001f600"})])
    assert trial.results == [Outputs((b'{"n":1}',))]
    assert trial.logs == ["a" * 299 + "\ufffd"]


async def test_half_a_character_is_asked_as_the_sign_for_one_that_is_none() -> None:
    asked: list[Any] = []

    async def reach(_: Script, questions: Any) -> list[Answer]:
        asked.extend(one.args for one in questions)
        return [Answer({"url": "", "status": 200, "headers": {}, "body": "1"}) for _ in questions]

    pool = Pool(reach=reach)
    await pool.start()
    source = """export async function transformEvent(event) {
        return {status: (await fetchV2("https://a.example/?q=" + event.name.slice(0, 3), {body: "\\ud83d"})).status};
    }"""
    try:
        ran = await pool.run(script(source), [item({"name": "ab\U0001f600"})])
    finally:
        await pool.stop()
    assert ran == [Outputs((b'{"status":200}',))]
    assert asked == [("https://a.example/?q=ab\ufffd", {"body": "\ufffd"})]


async def test_numbers_and_text_written_by_hand_stay_json(js: Run) -> None:
    source = r"""export const transformEvent = e => ({half: JSON.rawJSON('"\\uD83D"'), n: JSON.rawJSON("1e2")});"""
    assert await js(source, {}) == [[{"half": "\ufffd", "n": 100}]]


async def test_a_source_has_a_longest_length(js: Run) -> None:
    source = "export const transformEvent = e => ({n: 1}); //"
    assert await js(source + "x" * (512_000 - len(source)), {}) == [[{"n": 1}]]
    too_long = source + "x" * 512_000
    assert await js(too_long, {}) == ["case.js:1: the source is longer than 512,000 characters"]
    library = await js("import 'lib'; export const transformEvent = e => e;", {}, libraries={"lib": too_long})
    assert [one.partition(":1: ")[2] for one in library] == ["the source is longer than 512,000 characters"]


@pytest.mark.parametrize("made", ["undefined", "7", "({x: 1})"])
async def test_what_a_script_has_written_for_its_log_lines_is_no_crash(js: Run, made: str) -> None:
    source = f"Array.prototype.toJSON = () => {made}; export const transformEvent = e => {{ log(1); return e; }};"
    (found,) = await js(source, {"n": 1})
    assert found == [{"n": 1}] if made == "({x: 1})" else str(found).startswith("case.js:1: its results cannot be had:")
