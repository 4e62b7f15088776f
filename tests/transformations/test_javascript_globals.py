"""What JavaScript scripts find around them is read when first used: nobody can tell, not even a script that
replaces everything before."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.transformations.conftest import item
from transformations import Pool
from transformations.base import Failed, Outputs, Script

pytestmark = pytest.mark.asyncio(loop_scope="module")
NOTES = {"sourceId": "web", "receivedAt": "2026-03-04T05:06:07.089Z"}


async def ran(pool: Pool, source: str, *events: Any, **options: Any) -> list[Any]:
    """Per event a list of outputs, or the reason it failed."""
    made = Script("case", source, file="case.js", language="javascript", **options)
    results = await pool.run(made, [item(event, NOTES) for event in events])
    return [one.reason if isinstance(one, Failed) else [json.loads(raw) for raw in one.events] for one in results]


async def test_one_batch_holds_every_kind_of_outcome_each_in_its_place(pool: Pool) -> None:
    source = """export function transformEvent(e) {
        switch (e.n) {
            case 0: return e;
            case 1: return null;
            case 2: return [e, {b: "\\u001e"}, {}];
            case 3: throw new RangeError("no");
            case 4: return new Promise(() => 0);
            case 5: return Promise.resolve([{late: 1}, {late: 2}]);
            case 6: return Promise.reject(new Error("later"));
            case 7: return [];
            case 8: return new Error("as data");
            default: return {n: e.n};
        }
    }"""
    found = await ran(pool, source, *({"n": n} for n in range(10)))
    assert found == [
        [{"n": 0}], [], [{"n": 2}, {"b": "\x1e"}, {}], "case.js:6: RangeError: no",
        "case.js: Error: timed out: the promise it returned is never settled", [{"late": 1}, {"late": 2}],
        "case.js:9: Error: later", [], [{}], [{"n": 9}],
    ]  # fmt: skip


async def test_outputs_are_as_they_were_when_they_were_returned(pool: Pool) -> None:
    source = "const one = {}; export function transformEvent(e) { one.n = e.n; return one; }"
    assert await ran(pool, source, {"n": 1}, {"n": 2}) == [[{"n": 1}], [{"n": 2}]]


async def test_an_event_that_is_none_costs_itself_only(pool: Pool) -> None:
    source = "export const transformEvent = e => e;"
    broken, *rest = await ran(pool, source, b'{"n": ', b" [1]", b' {"n": 1}', b'{\n"n": 2}')
    assert broken.startswith("case.js: SyntaxError: ")
    assert rest == ["case.js: TypeError: the event is not a JSON object", [{"n": 1}], [{"n": 2}]]


async def test_a_script_that_replaces_what_everything_is_made_of_gets_the_same(pool: Pool) -> None:
    spoil = """
        const gone = () => { throw new TypeError("spoilt"); }, names = Object.getOwnPropertyNames;
        const described = Object.getOwnPropertyDescriptor;
        for (const one of [Array, String, Promise, Map, Function, Object, RegExp])
            for (const key of names(one.prototype))
                if (key !== "constructor" && typeof described(one.prototype, key).value === "function")
                    try { one.prototype[key] = gone; } catch {}
        for (const one of [JSON, Reflect, Object, Math])
            for (const key of names(one))
                if (typeof one[key] === "function" && key !== "random") one[key] = gone;
        for (const key of ["eval", "Map", "Error", "Promise", "String"]) globalThis[key] = gone;
        Object.prototype.get = gone;
    """
    use = """export function transformEvent(e, metadata) {
        log("said", {a: 1});
        if (e.bad) throw new TypeError("bad");
        return {now: Date.now(), random: Math.random(), source: metadata(e).sourceId,
                other: metadata({messageId: "2"}).sourceId, token: getCredential("token"), kinds: typeof fetch};
    }"""
    events = [{"messageId": "1"}, {"messageId": "2", "bad": 1}]
    credentials = {"token": "secret-value"}
    plain = await ran(pool, use, *events, credentials=credentials)
    spoilt = await ran(pool, spoil.replace("\n", " ") + use, *events, credentials=credentials)
    assert plain[0][0]["source"] == plain[0][0]["other"] == "web"
    assert plain == [plain[0], "case.js:3: TypeError: bad"]
    assert spoilt == plain


async def test_globals_can_be_replaced_and_deleted_and_are_not_listed(pool: Pool) -> None:
    source = """
        Date = class { now() { return "mine"; } };
        globalThis.log = "mine";
        delete globalThis.fetchV2;
        export const transformEvent = e => ({
            date: new Date().now(), log, gone: typeof fetchV2, there: typeof fetch, same: fetch === fetch,
            listed: Object.keys(globalThis).join(), own: Object.getOwnPropertyDescriptor(globalThis, "fetch"),
        });"""
    (outputs,) = await ran(pool, source, {})
    assert outputs == [{
        "date": "mine", "log": "mine", "gone": "undefined", "there": "function", "same": True, "listed": "",
        "own": {"writable": True, "enumerable": False, "configurable": True},
    }]  # fmt: skip


async def test_dates_are_the_events_from_whatever_side_they_are_had(pool: Pool) -> None:
    source = """const before = Math.random;
    export const transformEvent = e => {
        const date = new (globalThis["Da" + "te"])();
        return {at: date.toISOString(), by: new date.constructor().toISOString(), is: date.constructor === Date,
                random: before() !== before()};
    }"""
    at = NOTES["receivedAt"]
    assert await ran(pool, source, {}) == [[{"at": at, "by": at, "is": True, "random": True}]]


async def test_what_a_global_refuses_is_said_of_the_scripts_own_line(pool: Pool) -> None:
    lines = ["//"] * 400 + ["export const transformEvent = e => getCredential(null);"] + ["//"] * 400
    said = "case.js:401: TypeError: Key should be valid and defined"
    assert await ran(pool, "\n".join(lines), {}) == [said]


async def test_a_failure_is_said_of_the_line_that_caused_it_not_of_a_place_in_what_it_read(pool: Pool) -> None:
    source = "export const transformEvent = e => {\n  if (e.round) { e.self = e; return e; }\n\n  JSON.parse('{');\n}"
    source += "\n//" * 200
    assert await ran(pool, source, {}, {"round": 1}) == [
        "case.js:4: SyntaxError: Expected property name or '}' in JSON at position 1 (line 1 column 2)",
        "case.js: TypeError: circular reference",
    ]


async def test_what_is_asked_of_the_past_batch_is_not_there(pool: Pool) -> None:
    source = """log.seen ??= 0; Date.seen ??= 0; fetch.seen ??= 0;
    export const transformEvent = e => ({log: ++log.seen, date: ++Date.seen, fetch: ++fetch.seen});"""
    for _ in range(2):
        assert await ran(pool, source, {}) == [[{"log": 1, "date": 1, "fetch": 1}]]


async def test_long_results_of_every_kind_come_out(pool: Pool) -> None:
    source = """const long = "x".repeat(100000);
    export function transformEvent(e) {
        if (e.n === 0) return [{long}, {long}];
        if (e.n === 1) throw new Error(long);
        log(long);
        return Promise.resolve({long});
    }"""
    several, failed, one = await ran(pool, source, {"n": 0}, {"n": 1}, {"n": 2})
    assert several == [{"long": "x" * 100_000}] * 2
    assert failed == "case.js:4: Error: " + "x" * (2000 - len("case.js:4: Error: "))
    assert one == [{"long": "x" * 100_000}]


async def test_results_too_large_together_are_run_in_another_batch(pool: Pool) -> None:
    source = "export const transformEvent = e => ({n: e.n, text: 'x'.repeat(900000)});"
    made = Script("case", source, file="case.js", language="javascript", memory=1 << 30, timeout=20.0)
    results = await pool.run(made, [item({"n": n}) for n in range(30)])
    assert [isinstance(one, Outputs) and json.loads(one.events[0])["n"] for one in results] == list(range(30))
