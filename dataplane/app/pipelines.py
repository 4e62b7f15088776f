"""Several pipeline processes asked as one: each knows its own lanes, and the answers are put together.

What only the process that sequences knows, or does for all (refused events, replays, samples, user deletion), is
asked of it alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from dataplane.app.child import Child
from dataplane.app.place import process_of
from dataplane.inspect import together
from turnout.errors import Fixable, Refused, Unavailable

__all__ = ["Pipelines"]

Args = dict[str, Any]
SILENCE = 5.0
"""Seconds without any sign of life after which a process is not waited for; one that is busy gives signs."""
READING = frozenset((
    "dead.list", "dead.summary", "dead.show", "dead.export", "refused.list", "refused.summary", "refused.show",
    "refused.export", "explain", "replay.list", "replay.status", "replay.count", "plan.sample", "plan.left",
    "tail.open", "tail.read", "tail.close",
))
"""Verbs that change nothing."""


class Pipelines:
    """The pipeline processes among the roles."""

    def __init__(self, children: Mapping[str, Child]) -> None:
        self._children = children

    def all(self) -> list[Child]:
        """The processes, the one that sequences first."""
        return [child for child in self._children.values() if process_of(child.name) is not None]

    async def ask(self, verb: str, args: Args | None = None) -> Any:
        """Ask all that are concerned; raises an error of theirs, or `Unavailable`."""
        everyone = self.all()
        asked = _ASKED.get(verb)
        if len(everyone) == 1 or asked is None:
            return await _ask(everyone[0], verb, args)
        return await asked(everyone, verb, dict(args or {}))


async def _ask(child: Child, verb: str, args: Args | None) -> Any:
    """What only reads is not waited for where nobody is there; what changes something may be under way."""
    return await child.ask(verb, args, silence=SILENCE if verb in READING else None)


async def _each(children: Sequence[Child], verb: str, args: Sequence[Args]) -> list[Any]:
    """All answers; raises the first error."""
    return list(await asyncio.gather(*(_ask(child, verb, one) for child, one in zip(children, args, strict=True))))


async def _known(children: Sequence[Child], verb: str, args: Sequence[Args]) -> list[Any]:
    """Answers, None of those to whom something named is unknown; raises the first `Fixable` where it is to all."""
    asked = (_ask(child, verb, one) for child, one in zip(children, args, strict=True))
    found = await asyncio.gather(*asked, return_exceptions=True)
    wrong = [one for one in found if isinstance(one, BaseException)]
    if len(wrong) == len(found) or any(not isinstance(one, Fixable) for one in wrong):
        raise next(iter(sorted(wrong, key=lambda one: isinstance(one, Fixable))))
    return [None if isinstance(one, BaseException) else one for one in found]


async def _page(children: Sequence[Child], verb: str, args: Args) -> Any:
    """A page over all: each is asked for one of its own, from where the page before left it."""
    places = together.places(args.get("cursor"), len(children))
    merge = together.newest if verb.endswith(".list") else together.oldest
    open_ = [place is not None for place in places]
    asked = [child for child, going in zip(children, open_, strict=True) if going]
    found = iter(await _known(asked, verb, [{**args, "cursor": place} for place in places if place is not None]))
    pages = [next(found) if going else None for going in open_]
    return merge(verb.partition(".")[0], pages, places, int(args.get("limit") or together.PAGE))


async def _first(children: Sequence[Child], verb: str, args: Args) -> Any:
    """The answer of the one that knows it."""
    return next(one for one in await _known(children, verb, [args] * len(children)) if one is not None)


async def _sum(children: Sequence[Child], verb: str, args: Args) -> Any:
    return together.summed([one for one in await _known(children, verb, [args] * len(children)) if one is not None])


async def _walk(children: Sequence[Child], verb: str, args: Args) -> Any:
    """Letters by their ids anywhere; or all that are meant, one process after another.

    One whose destinations have no room just now does not keep the letters of the next waiting.
    """
    if args.get("ids") is not None:
        return await _by_ids(children, verb, args)
    places = together.places(args.get("cursor"), len(children))
    begun = bool(args.get("cursor"))  # what is named was known to a process before
    found, wrong = None, None
    for number, place in enumerate(places):
        if place is None:
            continue
        try:
            found = await _ask(children[number], verb, {**args, "cursor": place or None, "begun": begun})
        except Fixable as error:
            wrong, places[number] = error, None  # what is named may be known to the next
            continue
        places[number] = found["cursor"]
        if not found.get("full") or found["retried"] or found["left"]:
            break
    if found is None:
        assert wrong is not None, "a cursor with nothing left is none"
        raise wrong
    return {**found, "cursor": together.cursor(places)}


async def _by_ids(children: Sequence[Child], verb: str, args: Args) -> Any:
    """Where a process does not answer, the others have done theirs; what nobody who answered knows may be of that."""
    found = await asyncio.gather(*(_ask(child, verb, args) for child in children), return_exceptions=True)
    silent: list[BaseException] = [one for one in found if isinstance(one, Unavailable)]
    told = [one for one in found if not isinstance(one, BaseException)]
    if wrong := [one for one in found if isinstance(one, BaseException) and one not in silent]:
        raise wrong[0]
    if not told:
        raise silent[0]
    return together.walked(told, "; ".join(map(str, silent)))


async def _resume(children: Sequence[Child], verb: str, args: Args) -> Any:
    found = await _each(children, verb, [args] * len(children))
    still = [one["still"] for one in found if one.get("still")]
    return {"changed": any(one["changed"] for one in found), "still": still[0] if still else ""}


async def _explain(children: Sequence[Child], verb: str, args: Args) -> Any:
    """The process that sequences finds the event; all say what became of it."""
    whole = await _ask(children[0], verb, args)
    number = {"id": f"#{whole['number']}", "brief": True}
    return together.explained(whole, await _each(children[1:], verb, [number] * (len(children) - 1)))


async def _left(children: Sequence[Child], verb: str, args: Args) -> Any:
    return together.left(await _each(children, verb, [args] * len(children)))


async def _written(children: Sequence[Child], verb: str, args: Args) -> Any:
    """By those that are there: who is away has nothing that is not written."""
    found = await asyncio.gather(*(child.ask(verb, args) for child in children), return_exceptions=True)
    wrong = [one for one in found if isinstance(one, BaseException) and not isinstance(one, Unavailable)]
    if wrong:
        raise wrong[0]
    return together.summed([one for one in found if not isinstance(one, BaseException)])


async def _open(children: Sequence[Child], verb: str, args: Args) -> Any:
    found = await _each(children, verb, [args] * len(children))
    return {"tail": [one["tail"] for one in found]}


async def _watched(children: Sequence[Child], verb: str, args: Args) -> Any:
    tails = args["tail"]
    if not isinstance(tails, list) or len(tails) != len(children):
        raise Refused("not_found", "nobody watches under this number (any more)")
    found = await _each(children, verb, [{"tail": tail} for tail in tails])
    return None if verb == "tail.close" else together.lines(found)


_ASKED: Mapping[str, Callable[[Sequence[Child], str, Args], Awaitable[Any]]] = {
    "dead.list": _page, "dead.export": _page, "dead.show": _first, "dead.summary": _sum,
    "dead.retry": _walk, "dead.discard": _walk, "destination.resume": _resume, "transformation.resume": _resume,
    "books.write": _written, "explain": _explain, "plan.left": _left,
    "tail.open": _open, "tail.read": _watched, "tail.close": _watched,
}
"""What concerns all; everything else is answered by the process that sequences."""
