"""ntfy keeps the contract of every destination, and says over a real connection what its fixtures say."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from turnout import Context, Event
from turnout.testing import DestinationContract, FakeClock, Received, Tool

from turnout_ntfy.ntfy import MESSAGE_BYTES, Ntfy
from turnout_ntfy.ntfy.settings import NtfySettings


class TestNtfy(DestinationContract):
    destination = Ntfy
    own_statuses = frozenset({403})


class Server(Tool):
    """Refuses what ntfy refuses."""

    def answered(self, asked: Received) -> tuple[int, object]:
        if asked.path != "/" or asked.method != "POST":
            return 404, {"code": 40401, "http": 404, "error": "page not found"}
        if asked.headers.get("authorization") != "Bearer tk-1":
            return 403, {"code": 40301, "http": 403, "error": "forbidden"}
        said = asked.json()
        if not isinstance(said.get("message"), str) or len(said["message"].encode()) > MESSAGE_BYTES:
            return 413, {"code": 41303, "http": 413, "error": "JSON body too large"}
        return 200, {"id": "hwQ2YpKdmg", "event": "message", "topic": said["topic"]}


def track(number: int, name: str, **properties: object) -> Event:
    said = {"type": "track", "userId": "s-4", "messageId": f"m-{number}", "event": name, "properties": properties}
    return Event(message=said, key=number)


def test_messages_arrive_and_long_ones_are_cut(fake_clock: FakeClock) -> None:
    adapter = Ntfy(NtfySettings(topic="desk", token="tk-1", message="{{properties.text}}"))
    at = Context(fake_clock.now(), adapter.delivery)
    with Server() as server:
        verdicts = server.deliver(adapter, [track(1, "Said", text="low"), track(2, "Said", text="é" * 5000)], at)
        assert [str(one.outcome) for one in verdicts] == ["delivered", "delivered"]
        short, long = (one.json()["message"] for one in server.received)
    assert short == "low"
    assert len(long.encode()) <= MESSAGE_BYTES
    assert long.endswith("é…")


def test_a_token_that_may_not_write_pauses_the_destination(fake_clock: FakeClock) -> None:
    adapter = Ntfy(NtfySettings(topic="desk", token="tk-2"))
    with Server() as server:
        at = Context(fake_clock.now(), adapter.delivery)
        (verdict,) = server.deliver(adapter, [track(1, "Said", text="low")], at)
    assert (str(verdict.outcome), verdict.status) == ("pause", 403)


@pytest.mark.parametrize("wrong", [
    {"topic": "a b"}, {"topic": ""}, {"topic": "x" * 65}, {"topic": "a/b"}, {"topic": "a", "priority": 6},
    {"topic": "a", "message": "{{#if"}, {"topic": "a", "server": "ntfy.sh"},
])
def test_settings_that_cannot_work_are_errors(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        NtfySettings.model_validate(wrong)
