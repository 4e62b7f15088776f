"""Letters of several pipeline processes retried as if they were one's: each once, whoever is full or away."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataplane.app.child import Child
from dataplane.app.pipelines import Pipelines
from turnout.errors import Fixable, Unavailable


class Process:
    """A pipeline process that has letters, room for some more events put aside, and may be away."""

    def __init__(self, name: str, letters: list[int], *, room: int = 1_000, away: bool = False) -> None:
        self.name = name
        self.letters = letters
        self.room = room
        self.away = away
        self.retried: list[int] = []

    async def ask(self, verb: str, args: dict[str, Any] | None = None, **_: Any) -> Any:
        args = args or {}
        assert verb == "dead.retry"
        if self.away:
            raise Unavailable(f"{self.name}: the process is gone")
        if (ids := args.get("ids")) is not None:
            return self._did([key for key in ids if key in self.letters], [k for k in ids if k not in self.letters])
        if not self.letters and not args["cursor"] and not args["begun"] and args.get("source"):
            raise Fixable(f"no source is called {args['source']}")
        after = int(args["cursor"] or -1)
        mine = sorted(key for key in self.letters if key > after)
        some = mine[: min(self.room, args["limit"])]
        self.room -= len(some)
        answer = self._did(some, [])
        full = len(some) < min(len(mine), args["limit"])
        done = len(some) == len(mine)
        return {**answer, "full": "crm" if full else None, "cursor": None if done else str(max(some, default=after))}

    def _did(self, keys: list[int], missing: list[int]) -> dict[str, Any]:
        self.retried += keys
        self.letters = [key for key in self.letters if key not in keys]
        return {"retried": len(keys), "left": [], "full": None, "held": None, "not_found": missing, "cursor": None}


def asking(*processes: Process) -> Pipelines:
    return Pipelines({one.name: cast("Child", one) for one in processes})


@given(
    st.lists(st.tuples(st.sets(st.integers(0, 99)), st.integers(0, 20)), min_size=2, max_size=4), st.integers(1, 7),
)
async def test_each_letter_is_retried_once_though_one_has_no_room_for_long(
    plan: list[tuple[set[int], int]], limit: int
) -> None:
    processes = [
        Process("pipeline" if not n else f"pipeline-{n}", [100 * n + key for key in keys], room=room)
        for n, (keys, room) in enumerate(plan)
    ]
    wanted = sorted(key for one in processes for key in one.letters)
    pipelines, cursor, retried = asking(*processes), None, 0
    for _ in range(2_000):
        args = {"all": True, "limit": limit, **({"cursor": cursor} if cursor else {})}
        answer = await pipelines.ask("dead.retry", args)
        retried += answer["retried"]
        assert answer["retried"] <= limit
        cursor = answer["cursor"]
        if cursor is None:
            break
        if not answer["retried"] and answer["full"]:
            assert all(not one.letters or not one.room for one in processes), "one had room"
            for one in processes:
                one.room += 3
    assert sorted(key for one in processes for key in one.retried) == wanted
    assert retried == len(wanted)


async def test_what_the_first_had_alone_ends_without_an_error() -> None:
    pipelines = asking(Process("pipeline", [1, 2]), Process("pipeline-1", []))
    first = await pipelines.ask("dead.retry", {"source": "gone", "limit": 9})
    assert (first["retried"], bool(first["cursor"])) == (2, True)
    rest = await pipelines.ask("dead.retry", {"source": "gone", "limit": 9, "cursor": first["cursor"]})
    assert (rest["retried"], rest["cursor"]) == (0, None)
    with pytest.raises(Fixable, match="no source is called gone"):
        await pipelines.ask("dead.retry", {"source": "gone", "limit": 9})


async def test_of_one_that_is_away_the_ids_are_left_and_those_of_the_others_are_told() -> None:
    here, away = Process("pipeline", [1, 2]), Process("pipeline-1", [101], away=True)
    told = await asking(here, away).ask("dead.retry", {"ids": [2, 101]})
    assert here.retried == [2]
    assert (told["retried"], told["not_found"]) == (1, [])
    assert told["left"] == [{"id": 101, "reason": "pipeline-1: the process is gone"}]
    here.away = True
    with pytest.raises(Unavailable, match=r"^pipeline: the process is gone"):
        await asking(here, away).ask("dead.retry", {"ids": [1]})
