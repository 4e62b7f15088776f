"""What a candidate configuration would change."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

from aiohttp import web

from dataplane.api.route import Route, json_object, socket_only
from dataplane.app.plan import plan, progress
from dataplane.app.supervisor import Supervisor
from turnout.errors import Refused, Unavailable

__all__ = ["ROUTES"]

LONGEST = 36_500 * 86_400
"""Seconds that a plan may look back."""
LOOK = 0.2
"""Seconds between looks whether somebody still waits for it."""
_FIELDS: dict[str, Any] = {
    "file": {"type": "string", "description": "Absolute path of the candidate."},
    "last": {"type": "number", "description": "Seconds; events received since. Default: 3600."},
    "limit": {"type": "integer", "description": "At most so many events, 1 to 10000. Default: 1000."},
    "sources": {"type": "array", "items": {"type": "string"}},
    "examples": {"type": "integer", "description": "Examples of each kind of change, 0 to 20. Default: 3."},
}


async def _plan(supervisor: Supervisor, request: web.Request) -> Any:
    socket_only(request, "a plan")  # it reads files, and runs the scripts they name
    asked = await json_object(request)
    if unknown := set(asked) - set(_FIELDS):
        raise Refused("unknown_field", f"unknown: {', '.join(sorted(unknown))} ({', '.join(_FIELDS)})")
    file, last = asked.get("file"), asked.get("last", 3600)
    sources, limit, examples = asked.get("sources", []), asked.get("limit", 1_000), asked.get("examples", 3)
    if not isinstance(file, str) or not Path(file).is_absolute():
        raise Refused("file", "file is the absolute path of the candidate")
    if not isinstance(last, int | float) or not 0 < last <= LONGEST:
        raise Refused("last", "last is a number of seconds, above 0 and up to a hundred years")
    if not isinstance(sources, list) or not all(isinstance(name, str) for name in sources):
        raise Refused("sources", "sources is a list of ids")
    if not isinstance(examples, int) or not 0 <= examples <= 20:
        raise Refused("examples", "examples is a number from 0 to 20")
    return await _for(request, plan(
        supervisor, Path(file), last=timedelta(seconds=last), limit=limit, sources=sources, examples=examples
    ))  # fmt: skip


async def _for(request: web.Request, work: Coroutine[Any, Any, Any]) -> Any:
    """What `work` comes to, for as long as whoever asked for it is there: else the next plan waits for it in vain."""
    making = asyncio.ensure_future(work)
    try:
        while not making.done():
            await asyncio.wait({making}, timeout=LOOK)
            if not making.done() and (request.transport is None or request.transport.is_closing()):
                raise Unavailable("nobody waits for this plan any more")
        return making.result()
    finally:
        if not making.done():
            making.cancel()
            await asyncio.wait({making})


async def _progress(supervisor: Supervisor, request: web.Request) -> Any:
    return progress()


ROUTES: tuple[Route, ...] = (
    Route("GET", "/plan", "plan.progress", "How far the plan is that is being made: step, done, total; {} without one.",
          _progress, audited=False),
    Route("POST", "/plan", "plan", "What a candidate configuration would change for recent events.", _plan,
          body={"type": "object", "additionalProperties": False, "required": ["file"], "properties": _FIELDS}),
)
