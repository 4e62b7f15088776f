"""`turnout tail` as the engine answers it: who watches, and until when."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from itertools import count
from typing import Any

from dataplane.deliver.engine import Engine
from dataplane.deliver.watch import FILTERS, VERDICTS, Tail, Watch
from turnout.errors import Fixable, Refused
from turnout.spelling import unknown

__all__ = ["VERBS"]

MOST = 8
"""Watchers at once."""
PATIENCE = 10.0
"""Seconds without a question after which a watcher counts as gone."""

_ids = count(1)


def _open(engine: Engine, args: dict[str, Any]) -> dict[str, Any]:
    """Begin to watch; raises `Fixable` for a filter that nothing can match."""
    wanted = {name: str(args[name]) for name in FILTERS if args.get(name)}
    known: dict[str, Collection[str]] = {
        "source": engine.config.sources, "destination": engine.config.destinations, "verdict": VERDICTS,
    }  # fmt: skip
    for name, names in known.items():
        if name in wanted and wanted[name] not in names:
            raise Fixable(unknown(name, wanted[name], names))
    watch = engine.ledger.watch or Watch(engine.clock)
    if len(watch.tails) >= MOST:
        raise Fixable(f"{MOST} are watching already: end one of them")
    ident = next(_ids)
    watch.tails[ident] = Tail(wanted)
    engine.ledger.watch = watch
    _renew(engine, ident)
    return {"tail": ident}


def _renew(engine: Engine, ident: int) -> None:
    tail = engine.ledger.watch.tails[ident] if engine.ledger.watch else None
    if tail is None:
        return
    if tail.expires is not None:
        tail.expires.cancel()
    tail.expires = asyncio.get_running_loop().call_later(PATIENCE, _end, engine, ident)


def _end(engine: Engine, ident: int) -> None:
    watch = engine.ledger.watch
    tail = watch.tails.pop(ident, None) if watch else None
    if tail is not None and tail.expires is not None:
        tail.expires.cancel()
    if watch is not None and not watch.tails:
        engine.ledger.watch = None


def _read(engine: Engine, args: dict[str, Any]) -> dict[str, Any]:
    """What came since the last question; raises `Refused` where the watcher is not known (any more)."""
    ident = int(args["tail"])
    watch = engine.ledger.watch
    if watch is None or ident not in watch.tails:
        raise Refused("not_found", "nobody watches under this number (any more)")
    _renew(engine, ident)
    return watch.tails[ident].fetch()


def _close(engine: Engine, args: dict[str, Any]) -> None:
    _end(engine, int(args["tail"]))


VERBS = {"tail.open": _open, "tail.read": _read, "tail.close": _close}
