"""The stand-in for a tool answers over a real connection, whatever host a request names."""

from __future__ import annotations

from typing import Any

from destinations import registry
from turnout import Bearer, Context, Event
from turnout.testing import FakeClock, Received, Tool


class Crm(Tool):
    def answered(self, asked: Received) -> tuple[int, Any]:
        if asked.headers.get("authorization") != "Bearer k-1":
            return 401, {"error": "invalid key"}
        return (202, {"id": 1}) if "name" in asked.json() else (422, "name is missing")


def test_credentials_and_fields_are_judged() -> None:
    hook = registry.build("webhook", {"webhook_url": "https://crm.example.org/people?team=b"})
    at = Context(FakeClock().now(), hook.delivery)
    named, bare = Event(message={"type": "track", "name": "Ada"}), Event(message={"type": "track"})
    with Crm() as crm:
        assert [str(v.outcome) for v in crm.deliver(hook, [named], at)] == ["pause"]
        hook.auth = Bearer("k-1")
        assert [v.status for v in crm.deliver(hook, [named], at)] == [202]
        assert [v.status for v in crm.deliver(hook, [bare], at)] == [422]
    assert {one.headers["host"] for one in crm.received} == {"crm.example.org"}
    assert crm.received[0].query == {"team": "b"}
