"""Every verb of the control channel that the engine answers; a topic's verbs are in a file of its own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from dataplane.deliver import forget, letters, replay_verbs, resume, sampling, tail
from dataplane.deliver.engine import Engine
from turnout.errors import Fixable

__all__ = ["VERBS", "Verb", "call"]

Verb = Callable[[Engine, dict[str, Any]], Any]
"""Engine and arguments to plain JSON, at once or to be awaited."""


async def _write(engine: Engine, args: dict[str, Any]) -> dict[str, Any]:
    """Write the books down as they are now; {written}: 0 where the disk takes nothing."""
    await engine.ledger.flush()
    return {"written": int(not engine.ledger.stuck)}


VERBS: Mapping[str, Verb] = {
    "books.write": _write,
    **letters.VERBS, **resume.VERBS, **replay_verbs.VERBS, **sampling.VERBS, **tail.VERBS, **forget.VERBS,
}


async def call(engine: Engine, verb: str, args: dict[str, Any]) -> Any:
    """Carry out a verb; raises `Fixable` for an unknown one or a wrong argument."""
    found = VERBS.get(verb)
    if found is None:
        raise Fixable(f"{verb}: no such verb")
    answer = found(engine, args)
    return await answer if inspect.isawaitable(answer) else answer
