"""The floor of every aiohttp ingest: a handler that reads the body and answers.

`python -m bench.bare FILE` writes its port to FILE and serves until it is ended.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import uvloop
from aiohttp import web


async def _take(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(body=b'{"status":"ok"}', content_type="application/json")


async def _main(port_file: Path) -> None:
    app = web.Application(client_max_size=8 << 20)
    for path in ("/v1/track", "/v1/batch"):
        app.router.add_post(path, _take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    written = port_file.with_suffix(".new")
    written.write_text(str(runner.addresses[0][1]))
    written.rename(port_file)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_main(Path(sys.argv[1])))
