"""Tools that are not HTTP are held to `egress` and to `delivery.timeout` as the others are."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from engine_kit import Plant, event

from dataplane.config import parse
from dataplane.deliver import guard
from dataplane.inspect.unreachable import unreachable

TOOLS = {
    "redis": "{address: 'HOST:1'}", "kafka": "{host_name: 'HOST:1', topic: t}",
    "s3": "{bucket_name: rooms, region: us-east-1, endpoint: 'http://HOST:1/', access_key_id: k, access_key: s}",
}  # fmt: skip


def config(slug: str, host: str, *, private: bool = False, timeout: str = "400ms") -> str:
    settings = TOOLS[slug].replace("HOST", host)
    return f"""
egress: {{allow_private: {str(private).lower()}}}
sources: {{web: {{write_key: k}}}}
destinations:
  tool: {{type: {slug}, settings: {settings}, start: beginning, delivery: {{linger: 0s, timeout: {timeout}}}}}
"""


IDENTIFY = {"type": "identify", "userId": "ann", "messageId": "m-1", "traits": {"plan": "gold"}}


def row(plant: Plant) -> dict[str, Any]:
    found: dict[str, Any] = plant.status()["destinations"]["tool"]
    return found


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("slug", sorted(TOOLS))
async def test_a_private_address_is_refused_with_the_words_of_http(plant: Plant, slug: str, host: str) -> None:
    await plant.start(config(slug, host))
    await plant.send(IDENTIFY)
    await plant.until(lambda: row(plant)["dead"] == 1)
    await plant.engine.retention.written()
    (letter,) = (await plant.call("dead.list", {}))["dead"]
    assert (letter["reason"], letter["class"]) == (
        f"{host}: a private address; egress.allow_private permits it", "blocked"
    )


@pytest.mark.parametrize("slug", sorted(TOOLS))
async def test_where_it_is_allowed_the_client_is_asked(plant: Plant, slug: str) -> None:
    await plant.start(config(slug, "127.0.0.1", private=True))
    await plant.send(IDENTIFY)
    await plant.until(lambda: row(plant)["retrying"] == 1, 30)
    assert row(plant)["dead"] == 0


async def test_an_answer_that_does_not_come_ends_with_delivery_timeout(plant: Plant) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    await plant.start(config("redis", "127.0.0.1", private=True).replace(":1'", f":{port}'"))
    await plant.send(event("ann", 1) | IDENTIFY)
    await plant.until(lambda: row(plant)["retrying"] == 1, 10)
    (waits,) = plant.engine.couriers["tool"].chains.rows()
    assert waits.reason == "redis: no answer in time"
    server.close()


async def test_names_are_looked_up_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that points inside later is noticed, and one that does no more is written to again."""

    class Writer:
        hosts = ("tool.example",)
        wrote = 0

        async def write(self, records: Any) -> list[Any]:
            self.wrote += 1
            return []

        async def close(self) -> None: ...

    answers = ["127.0.0.1"]

    async def looked_up(*_: Any, **__: Any) -> list[Any]:
        return [(2, 1, 6, "", (answers[0], 0))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", looked_up)
    monkeypatch.setattr(guard, "LOOKED_UP", 0.0)
    writer = Writer()
    held = guard.guarded(writer, allow_private=False)
    assert held is not None
    (refused,) = await held.write([None])  # type: ignore[list-item]  # it is not looked at
    assert refused.reason.startswith("tool.example: a private address")
    answers[0] = "203.0.113.9" if not guard.blocked("203.0.113.9") else "9.9.9.9"
    await held.write([])
    assert writer.wrote == 1


@pytest.mark.parametrize("slug", sorted(TOOLS))
def test_check_warns_of_it(slug: str) -> None:
    for host, private, found in (("127.0.0.1", False, True), ("10.1.2.3", True, False), ("tool.example", False, False)):
        made = parse(config(slug, host, private=private), "config.yaml", {})
        assert bool([one for one in unreachable(made) if one.path[:2] == ("destinations", "tool")]) == found
