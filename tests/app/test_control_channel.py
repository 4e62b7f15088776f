"""The control channel, over a real socket pair on a real loop."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane.app.control import Channel, _describe, _restore
from turnout import errors
from turnout.errors import ConfigError, Fixable, Refused, ScriptError, Unavailable


async def _pair(answer: Any) -> tuple[Channel, Channel, asyncio.Task[None], asyncio.Task[None]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    app = await Channel.over(ours)
    role = await Channel.over(theirs, answer)
    return app, role, asyncio.create_task(app.serve()), asyncio.create_task(role.serve())


async def test_answers_come_back_in_any_order() -> None:
    gate = asyncio.Event()

    async def answer(verb: str, args: dict[str, Any]) -> Any:
        if verb == "slow":
            await gate.wait()
        else:
            gate.set()
        return [verb, args]

    app, role, *tasks = await _pair(answer)
    slow, quick = await asyncio.gather(app.ask("slow", {"n": 1}), app.ask("quick"))
    assert slow == ["slow", {"n": 1}]
    assert quick == ["quick", {}]
    app.close()
    role.close()
    await asyncio.gather(*tasks)


@pytest.mark.parametrize(
    "raised",
    [
        ConfigError("config.yaml:3:1: x: unknown"),
        ScriptError("invalid syntax", file="a.py", line=7),
        Refused("too_deep", "nested too deeply"),
        Fixable("say it otherwise"),
    ],
)
async def test_errors_arrive_as_what_they_were(raised: errors.TurnoutError) -> None:
    async def answer(verb: str, args: dict[str, Any]) -> Any:
        raise raised

    app, role, *tasks = await _pair(answer)
    with pytest.raises(type(raised)) as caught:
        await app.ask("prepare")
    assert str(caught.value) == str(raised)
    assert vars(caught.value) == vars(raised)
    app.close()
    role.close()
    await asyncio.gather(*tasks)


async def test_an_unexpected_error_arrives_without_its_message() -> None:
    async def answer(verb: str, args: dict[str, Any]) -> Any:
        raise KeyError("jane@example.com")

    app, role, *tasks = await _pair(answer)
    with pytest.raises(Unavailable) as caught:
        await app.ask("stats")
    assert "KeyError" in str(caught.value)
    assert "jane" not in str(caught.value)
    app.close()
    role.close()
    await asyncio.gather(*tasks)


async def test_whoever_waits_is_told_that_the_other_side_is_gone() -> None:
    async def answer(verb: str, args: dict[str, Any]) -> Any:
        await asyncio.Event().wait()

    app, role, *tasks = await _pair(answer)
    asked = asyncio.create_task(app.ask("status"))
    await asyncio.sleep(0)
    role.close()
    with pytest.raises(Unavailable, match="gone"):
        await asked
    with pytest.raises(Unavailable, match="gone"):
        await app.ask("status")
    await asyncio.gather(*tasks)


async def test_an_answer_that_never_comes_is_unavailable() -> None:
    async def answer(verb: str, args: dict[str, Any]) -> Any:
        await asyncio.Event().wait()

    app, role, *tasks = await _pair(answer)
    with pytest.raises(Unavailable, match="no answer to drain"):
        await app.ask("drain", timeout=0.01)
    app.close()
    role.close()
    await asyncio.gather(*tasks)


@settings(max_examples=50)
@given(st.dictionaries(st.sampled_from(["type", "message", "code", "file"]), st.text()))
def test_any_described_error_is_restored_to_one_of_the_tree(described: dict[str, Any]) -> None:
    assert isinstance(_restore(described), errors.TurnoutError)


def test_every_error_of_the_tree_survives_the_way() -> None:
    for name in errors.__all__:
        kind = getattr(errors, name)
        error = kind("code", "why") if kind is Refused else kind("why")
        restored = _restore(_describe(error))
        assert type(restored) is kind
        assert str(restored) == str(error)


async def test_what_is_too_long_is_an_error_and_the_channel_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that the other side cannot read would end the channel, and with it the role."""
    monkeypatch.setattr("dataplane.app.control.LINE", 50_000)

    async def answer(verb: str, args: dict[str, Any]) -> Any:
        return "x" * int(args["size"]) if verb == "text" else {1, 2}

    app, role, *tasks = await _pair(answer)
    assert len(await app.ask("text", {"size": 49_000})) == 49_000
    with pytest.raises(Unavailable, match="ask for less"):
        await app.ask("text", {"size": 50_000})
    with pytest.raises(Unavailable, match="ask for less"):
        await app.ask("text", {"size": 1, "more": "x" * 50_000})
    with pytest.raises(errors.TurnoutError):  # no JSON: said, not waited for
        await app.ask("set", timeout=2)
    assert await app.ask("text", {"size": 1}) == "x"
    app.close()
    role.close()
    await asyncio.gather(*tasks)


async def test_who_is_busy_is_waited_for_and_who_is_silent_is_not() -> None:
    gate = asyncio.Event()

    async def answer(verb: str, args: dict[str, Any]) -> Any:
        await gate.wait()
        return verb

    app, role, *tasks = await _pair(answer)
    asked = asyncio.create_task(app.ask("long", silence=0.2))
    with pytest.raises(Unavailable, match=r"no answer to short within 0\.5 s"):  # longer than the silence
        await app.ask("short", timeout=0.5, silence=0.2)
    assert not asked.done(), "the other side answers pings"
    gate.set()
    assert await asked == "long"
    gate.clear()
    tasks[1].cancel()  # it reads nothing any more
    await asyncio.wait([tasks[1]])
    app, role, *more = await _pair(answer)
    more[1].cancel()
    with pytest.raises(Unavailable, match=r"nothing was heard of it for 0\.2 s"):
        await app.ask("long", silence=0.2)
    app.close()
    role.close()
    await asyncio.gather(more[0])
