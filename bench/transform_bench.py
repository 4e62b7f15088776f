"""Transformations: what the sandbox costs beside the same function in plain Python, in one run.

CPU seconds of the parent, the zygote and its workers, per event; the yardstick is `orjson` loads, the
same source executed as it is, and `orjson` dumps, in this process.
"""

from __future__ import annotations

import asyncio
import json
import os
import runpy
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import orjson
import uvloop
from _quickjs import Context

from bench import cpu, yardstick
from bench.paired import paired
from bench.row import Row, at_most, plain, skipped
from transformations import Pool
from transformations.base import Item, Script

BATCH = 100
ROUNDS = 20
"""Batches per slice."""
SLICES = 14
EVENT = {
    "type": "track", "event": "Order Completed", "messageId": "5f0c1b1e-3f0a-4a43-9c61-0b0c1f7be001",
    "anonymousId": "9b2d0d2c-55c1-4a0e-8c53-7d8b7f7f0a10", "userId": "customer-004711", "channel": "web",
    "originalTimestamp": "2026-11-23T09:36:55.120Z", "sentAt": "2026-11-23T09:36:55.220Z",
    "properties": {
        "order_id": "A-100234", "total": "149.90", "currency": "eur", "coupon": "", "shipping": 4.9,
        "url": "https://shop.example.com/thanks?utm_source=mail&utm_campaign=autumn",
        "products": [
            {"sku": "B-17", "name": "Lamp", "price": 39.9, "quantity": 2, "category": "Light"},
            {"sku": "C-02", "name": "Chair", "price": 65.2, "quantity": 1, "category": "Office"},
        ],
    },
    "context": {
        "traits": {"email": "Ada.Lovelace@Example.com", "firstName": "ada", "phone": "+49 (30) 123-4567"},
        "library": {"name": "sdk-js", "version": "3.1.0"}, "locale": "de-DE", "ip": "192.0.2.17",
        "userAgent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)",
        "page": {"path": "/thanks", "title": "Thank you", "referrer": "https://shop.example.com/cart"},
    },
    "integrations": {"All": True},
}
IDENTITY = "def transformEvent(event, metadata):\n    return event\n"
TYPICAL = '''
import re

DIGITS = re.compile(r"[^0-9+]")
NAMES = {"firstName": "first_name", "lastName": "last_name"}
INTERNAL = ("turnout.example", "test.example")


def tidy(traits):
    out = {}
    for key, value in traits.items():
        if value not in (None, ""):
            out[NAMES.get(key, key)] = value.strip() if isinstance(value, str) else value
    return out


def transformEvent(event, metadata):
    if event.get("type") != "track":
        return event
    context = event.get("context") or {}
    traits = tidy(context.get("traits") or {})
    email = traits.get("email")
    if email:
        traits["email"] = email = email.lower()
        domain = email.rpartition("@")[2]
        if domain in INTERNAL:
            return None
        traits["domain"] = domain
    if "phone" in traits:
        traits["phone"] = DIGITS.sub("", traits["phone"])
    properties = event["properties"]
    properties["total"] = float(properties["total"])
    properties["items"] = sum(p["quantity"] for p in properties["products"])
    properties["categories"] = sorted({p["category"].lower() for p in properties["products"]})
    properties["currency"] = properties["currency"].upper()
    event["event"] = f"{event['event']} ({properties['currency']})"
    context.pop("ip", None)
    context["traits"] = traits
    event["context"] = context
    return event
'''
RAW = orjson.dumps(EVENT)
ITEMS = [Item(RAW, b'{"sourceId":"website","receivedAt":"2026-11-23T09:36:55.900Z"}')] * BATCH


class _Bench:
    """A pool in a loop of its own; every measure is CPU microseconds per event of the whole family."""

    def __init__(self) -> None:
        self.loop = uvloop.new_event_loop()
        self.pool = Pool(warm=16)
        self.do(self.pool.start())

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    def close(self) -> None:
        self.do(self.pool.stop())
        self.loop.close()

    def sandboxed(self, script: Script, items: Sequence[Item] = ITEMS) -> Callable[[], float]:
        async def batches() -> None:
            for _ in range(ROUNDS):
                await self.pool.run(script, items)

        def one() -> float:
            before = cpu.cpu_seconds(os.getpid())
            self.do(batches())
            return (cpu.cpu_seconds(os.getpid()) - before) / (ROUNDS * BATCH) * 1e6

        one()
        return one


def bare(source: str | None) -> Callable[[], float]:
    """CPU microseconds per event of loads, the function (None: none at all) and dumps, here."""
    scope: dict[str, Any] = {}
    if source:
        exec(source, scope)
    function = scope.get("transformEvent")

    def one() -> float:
        before = time.process_time()
        for _ in range(ROUNDS * BATCH):
            event = orjson.loads(RAW)
            if function is not None:
                event = function(event, None)
            orjson.dumps(event)
        return (time.process_time() - before) / (ROUNDS * BATCH) * 1e6

    return one


def rows() -> list[Row]:
    """All rows of this area; about 15 s."""
    bench = _Bench()
    try:
        return [*_cost(bench), *_javascript(bench), *_many(bench), _start(bench), _delay(bench)]
    finally:
        bench.close()


def _cost(bench: _Bench) -> list[Row]:
    typical = paired(bench.sandboxed(Script("typical", TYPICAL)), bare(TYPICAL), SLICES)
    identity = paired(bench.sandboxed(Script("identity", IDENTITY)), bare(None), SLICES)
    return [
        at_most("transform: typical script / orjson + plain Python", typical.ratio, 2.2, note=typical.note),
        plain("transform: typical script, CPU per event", median(typical.a), "us", f"plain {median(typical.b):.1f} us"),
        at_most("transform: identity / orjson loads + dumps", identity.ratio, 3.3, note=identity.note),
        plain("transform: identity, CPU per event", median(identity.a), "us", f"plain {median(identity.b):.1f} us"),
    ]


def _javascript(bench: _Bench) -> list[Row]:
    """The whole way of a JavaScript script, parent and locked worker, over a prototype's bare context."""
    title = "transform: typical JavaScript / a prototype's context"
    where = yardstick.sandbox()
    if where is None:
        return [skipped(title, "YARDSTICK names no folder with sandbox/js_sample.py")]
    sample, event = runpy.run_path(str(where / "js_sample.py")), runpy.run_path(str(where / "sample.py"))["EVENT"]
    raw = orjson.dumps(event)
    source = sample["TYPJS"].replace("function transformEvent", "export function transformEvent")
    script = Script("js", source, language="javascript")
    context = Context()
    context.eval(sample["TYPJS"] + sample["WRAP"])
    run, batch = context.get("__run"), (b"[" + b",".join([raw] * BATCH) + b"]").decode()

    def prototype() -> float:
        before = time.process_time()
        for _ in range(ROUNDS):
            run(batch)
        return (time.process_time() - before) / (ROUNDS * BATCH) * 1e6

    found = paired(bench.sandboxed(script, [Item(raw, ITEMS[0].metadata)] * BATCH), prototype, SLICES)
    return [at_most(title, found.ratio, 1.3, note=f"{median(found.a):.1f} over {median(found.b):.1f} us; {found.note}")]


def _many(bench: _Bench) -> list[Row]:
    scripts = [Script(f"s{number}", TYPICAL) for number in range(1000)]
    alone = bench.sandboxed(scripts[0])
    first = median([alone() for _ in range(3)])
    for script in scripts[1:100]:
        bench.do(bench.pool.run(script, ITEMS[:1]))
    before = _memory(bench.pool.zygote_pid)
    for script in scripts[100:]:
        bench.do(bench.pool.run(script, ITEMS[:1]))
    grown = _memory(bench.pool.zygote_pid) - before
    health = bench.pool.health()
    warm = bench.sandboxed(scripts[0])
    again = median([warm() for _ in range(3)])
    return [
        at_most("transform: a warm script among 1,000 / alone", again / first, 1.2),
        at_most("transform: idle workers after 1,000 scripts", float(health["idle"]), 16, ""),
        at_most("transform: memory of pool and workers, 1,000 scripts over 100", grown, 10, "MiB"),
    ]


def _memory(zygote: int) -> float:
    """MiB of private memory of this process, the zygote and all workers."""
    workers = Path(f"/proc/{zygote}/task/{zygote}/children").read_text().split()
    found = 0
    for pid in ("self", str(zygote), *workers):
        status = Path(f"/proc/{pid}/status").read_text().splitlines()
        found += next((int(line.split()[1]) for line in status if line.startswith("RssAnon")), 0)
    return found / 1024


def _start(bench: _Bench) -> Row:
    """Fork, lock, load of a tiny script, one empty run: CPU of the zygote and of the workers that ended."""
    number = 100

    async def starts() -> None:
        for i in range(number):
            await bench.pool.check(Script(f"start{i}", IDENTITY))

    bench.do(starts())
    before, began = _family(bench.pool.zygote_pid), time.perf_counter()
    bench.do(starts())
    wall = (time.perf_counter() - began) / number * 1e3
    spent = (_family(bench.pool.zygote_pid) - before) / number * 1e3
    return at_most("transform: start of a worker, CPU", spent, 5, "ms", f"{wall:.1f} ms by the wall clock")


def _family(pid: int) -> float:
    """CPU seconds of a process and of its children that have ended (fields 14 to 17 of /proc/PID/stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def _delay(bench: _Bench) -> Row:
    """Another script's batch beside one that loops for ever."""
    good = Script("good", IDENTITY)
    loop = Script("loop", "def transformEvent(e, m):\n    while True: pass\n", timeout=1.0)

    async def measure() -> list[float]:
        found = []
        hanging = asyncio.create_task(bench.pool.run(loop, ITEMS[:4]))
        while not hanging.done():
            await asyncio.sleep(0.05)
            began = time.perf_counter()
            await bench.pool.run(good, ITEMS[:1])
            found.append((time.perf_counter() - began) * 1e3)
        return found

    delays = bench.do(measure())
    return at_most("transform: another script's batch beside a looping one, worst", max(delays), 200, "ms",
                   f"{len(delays)} batches, median {median(delays):.1f} ms")


if __name__ == "__main__":
    print(json.dumps([row.as_dict() for row in rows()], indent=1))
