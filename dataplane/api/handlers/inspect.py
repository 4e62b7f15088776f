"""Looking at single events: explain, tail."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from aiohttp import web

from dataplane.api.route import DESTINATION, Route, parameters
from dataplane.app.supervisor import Supervisor
from turnout import codec
from turnout.errors import Refused, TurnoutError, Unavailable

__all__ = ["ROUTES"]

SOURCE = ("source", "string", "The source it came from; an event of another one is not found.")


PAUSE = 0.2
"""Seconds between two questions to the pipeline."""
QUIET = 15.0
"""Seconds without a line after which an empty one shows that the connection stands."""


async def _explain(supervisor: Supervisor, request: web.Request) -> Any:
    args = {"id": request.match_info["id"], **parameters(request, "source")}
    return await supervisor.ask("pipeline", "explain", args)


async def _tail(supervisor: Supervisor, request: web.Request) -> Any:
    """Newline-delimited JSON for as long as somebody listens."""
    wanted = parameters(request, "source", "destination", "event", "verdict")
    tail = await supervisor.ask("pipeline", "tail.open", wanted)
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    try:
        await response.prepare(request)
        await _write(response, {"note": "watching; Ctrl-C ends it"})
        silent = 0.0
        while request.transport is not None and not request.transport.is_closing():
            try:
                found = await supervisor.ask("pipeline", "tail.read", tail)
            except (Refused, Unavailable):
                await _write(response, {"note": "the pipeline does not answer; waiting for it"})
                tail = await _reopened(supervisor, wanted)
                await _write(response, {"note": "watching again; what was done meanwhile is not shown"})
                continue
            if found["not_shown"]:
                await _write(response, {"not_shown": found["not_shown"]})
            await _write(response, *found["lines"])
            silent = 0.0 if found["lines"] else silent + PAUSE
            if silent > QUIET:
                await response.write(b"\n")
                silent = 0.0
            await asyncio.sleep(PAUSE)
    except ConnectionError:
        pass  # whoever listened is gone
    finally:
        with suppress(TurnoutError):
            await supervisor.ask("pipeline", "tail.close", tail)
    return response


async def _reopened(supervisor: Supervisor, wanted: dict[str, Any]) -> Any:
    while True:
        try:
            return await supervisor.ask("pipeline", "tail.open", wanted)
        except Unavailable:
            await asyncio.sleep(PAUSE)


async def _write(response: web.StreamResponse, *lines: Any) -> None:
    if lines:
        await response.write(b"".join(codec.dumps(line) + b"\n" for line in lines))


VERDICT = ("verdict", "string", "Only this verdict: delivered, filtered, dead or pending.")

ROUTES: tuple[Route, ...] = (
    Route("GET", "/explain/{id}", "explain",
          "What became of one event; the id is a messageId, or # (%23) and an event number.", _explain, (SOURCE,)),
    Route("GET", "/tail", "tail", "Verdicts as they are reached: newline-delimited JSON, without an end.", _tail,
          (("source", "string", "Only this source."), DESTINATION,
           ("event", "string", "Only events of this name or type."), VERDICT), streams=True),
)
