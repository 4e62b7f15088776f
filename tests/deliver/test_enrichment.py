"""The classic use of fetch: a quote request gains what a lookup API knows about the sender's company."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aiohttp import web

from dataplane.deliver.reach import Outside
from transformations import Pool
from transformations.base import Failed, Item, Reaching, Script

SOURCE = Path(__file__).parents[2] / "examples/transformations/enrich_company.js"


async def test_a_quote_request_gains_its_company() -> None:
    asked: list[tuple[str, str]] = []

    async def lookup(request: web.Request) -> web.Response:
        asked.append((request.query["domain"], request.headers["Authorization"]))
        if request.query["domain"] == "big.example":
            return web.json_response({"name": "Big", "employees": 5000, "industry": "rail", "secret": 1})
        return web.json_response({"message": "unknown"}, status=404)

    app = web.Application()
    app.router.add_get("/companies", lookup)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/companies"
    outside = Outside(allow_private=True)
    pool = Pool(reach=outside)
    await pool.start()
    script = Script(
        "enrich_company", SOURCE.read_text(), file=SOURCE.name, language="javascript",
        credentials={"lookup_url": url, "lookup_key": "key-value"}, reach=Reaching(("127.0.0.1",), cache=60.0),
    )  # fmt: skip

    def quote(email: str, event: str = "Quote Requested") -> dict[str, Any]:
        return {"type": "track", "event": event, "properties": {"email": email}}

    async def run(one: Script, *events: dict[str, Any]) -> list[dict[str, Any]]:
        ran = await pool.run(one, [Item(json.dumps(event).encode(), b"{}") for event in events])
        return [json.loads(row.events[0])["properties"] for row in ran if not isinstance(row, Failed)]

    try:
        quotes = [quote(email) for email in ("a@big.example", "b@small.example", "c@gmail.com")]
        big, small, free, other = await run(script, *quotes, quote("d@big.example", "Seen"))
        (again,) = await run(script, quote("e@Big.example"))
        (barred,) = await run(Script(
            script.name, script.source, file=script.file, language="javascript", credentials=script.credentials
        ), quote("f@big.example"))  # fmt: skip
    finally:
        await pool.stop()
        await outside.close()
        await runner.cleanup()
    company = {"name": "Big", "employees": 5000, "industry": "rail", "domain": "big.example"}
    assert (big["company"], big["enterprise"]) == (company, True)
    assert again["company"] == company
    assert all("company" not in one for one in (small, free, other))
    assert sorted(asked) == [("big.example", "Bearer key-value"), ("small.example", "Bearer key-value")]
    assert barred["company_lookup"] == "127.0.0.1 is not among the hosts that enrich_company may fetch from"
