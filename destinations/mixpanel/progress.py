"""How far each event of an exchange has come, for updates that must not be made twice.

`$append` and `$add` count again when they are sent again, and an event with one of them is more than one
request: where a later one must be retried, those before it are not sent with it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from turnout import Checkpoint, JsonArray, Outcome, Request, Response, Verdict, dead, delivered
from turnout.destination import Exchange

__all__ = ["GIVEN_UP", "advance", "counted", "left", "once"]

GIVEN_UP = -1
"""How far an event is that a request of its own was refused for."""
_COUNTING = ("$append", "$add")


def once(
    steps: Exchange, reached: list[int], judge: Callable[[Request, Response], Sequence[Verdict]], *, resumed: bool
) -> Exchange:
    """An exchange that leaves a checkpoint where what counts is done and its event must be retried.

    `reached` is how many requests of each event are done; it is moved on, and is the state.
    """
    made: list[tuple[Request, Response]] = []
    answer: Response | None = None
    while True:
        try:
            asked = steps.send(answer)
        except StopIteration as stop:
            found: Sequence[Verdict] = stop.value
            break
        answer = yield asked
        assert isinstance(asked, Request)
        assert answer is not None
        made.append((asked, answer))
    waiting = {i for i, verdict in enumerate(found) if not verdict.final}
    if waiting:
        judged = [(asked, judge(asked, answer)) for asked, answer in made]
        for asked, answers in judged:
            advance(reached, asked, answers)
        if resumed or any(counted(asked, answers, waiting) for asked, answers in judged):
            yield Checkpoint(reached)
    return found


def counted(request: Request, answers: Sequence[Verdict], waiting: Collection[int]) -> bool:
    """Whether it did, for an event that still waits, what must not be done twice."""
    if not isinstance(request.body, JsonArray):
        return False
    return any(
        index in waiting and answer.outcome is Outcome.DELIVERED and any(name in value for name in _COUNTING)
        for index, value, answer in zip(request.events, request.body.values, answers, strict=True)
    )


def advance(reached: list[int], request: Request, answers: Sequence[Verdict]) -> None:
    """Count the requests of each event that are done; `reached` is by event."""
    for index, answer in zip(request.events, answers, strict=True):
        if answer.outcome is Outcome.DEAD:
            reached[index] = GIVEN_UP
        elif answer.outcome is Outcome.DELIVERED and reached[index] != GIVEN_UP:
            reached[index] += 1


def left(made: Any, done: int) -> Any:
    """What is still to be sent for an event of which so many requests are done."""
    if not done or isinstance(made, Verdict):
        return made
    if done == GIVEN_UP:
        return dead("Mixpanel refused a part of this event in an earlier attempt")
    return made[done:] or delivered()
