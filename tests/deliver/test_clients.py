"""Tools that are not HTTP are held to `egress` and to `delivery.timeout` as the others are."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any, cast

import pytest
from engine_kit import Plant, event

from dataplane.config import parse
from dataplane.deliver import guard
from dataplane.inspect.unreachable import unreachable
from turnout import Record, delivered
from turnout.destination import Client
from turnout.verdict import Outcome

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
    await plant.until(lambda: row(plant)["retrying"] == 1)
    assert row(plant)["dead"] == 0


async def test_an_answer_that_does_not_come_ends_with_delivery_timeout(plant: Plant) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    await plant.start(config("redis", "127.0.0.1", private=True).replace(":1'", f":{port}'"))
    await plant.send(event("ann", 1) | IDENTIFY)
    await plant.until(lambda: row(plant)["retrying"] == 1)
    (waits,) = plant.engine.couriers["tool"].chains.rows()
    assert waits.reason == "redis: no answer in time"
    server.close()


class Writer:
    """A client of some hosts that writes everything."""

    def __init__(self, *hosts: str) -> None:
        self.hosts = hosts
        self.wrote = self.closed = 0

    async def write(self, records: Any) -> list[Any]:
        self.wrote += 1
        return [delivered()] * len(records)

    async def close(self) -> None:
        self.closed += 1


Names = dict[str, str | threading.Event]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    """Where hosts are, in the place of the system's resolver; it is silent about one until its event is set."""
    found: Names = {}
    real = socket.getaddrinfo

    def resolve(host: str, *asked: Any, **named: Any) -> Any:
        if host not in found:
            return real(host, *asked, **named)
        address = found[host]
        if isinstance(address, threading.Event):
            address.wait(60)
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    yield found
    for one in found.values():
        if isinstance(one, threading.Event):
            one.set()


PUBLIC, INSIDE = "9.9.9.9", "127.0.0.1"
RECORD = Record("t", None, b"{}")


def held(writer: Writer, timeout: float = 30.0) -> Client:
    found = guard.guarded(writer, allow_private=False, timeout=timeout)
    assert found is not None
    return found


async def test_names_are_looked_up_again_after_a_while(names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that points inside later is noticed, and one that does no more is written to again."""
    monkeypatch.setattr(guard, "LOOKED_UP", 0.0)
    client = held(writer := Writer("tool.example"))
    for address, wrote in ((PUBLIC, 1), (INSIDE, 1), (PUBLIC, 2)):
        names["tool.example"] = address
        (verdict,) = await client.write([RECORD])
        assert verdict.final
        assert verdict.reason.startswith("tool.example: a private address") is (address == INSIDE)
        assert writer.wrote == wrote
    await client.close()
    assert writer.closed == 1


async def test_a_name_that_nobody_answers_for_holds_a_write_no_longer_than_its_timeout(names: Names) -> None:
    """The write is to be tried again, says which name it was, and begins no second look while the first one goes on."""
    names.update({"one.example": PUBLIC, "two.example": threading.Event(), "three.example": threading.Event()})
    client = held(writer := Writer("one.example", "two.example", "three.example"), 0.5)  # enough for the first
    for _ in range(3):
        told = await asyncio.wait_for(client.write([RECORD] * 2), 60)
        assert [(one.outcome, one.reason) for one in told] == [
            (Outcome.RETRY, "two.example: the name was not looked up within 0.5 s")
        ] * 2
    assert writer.wrote == 0
    for host in ("two.example", "three.example"):  # not found in the end: the client speaks itself
        cast(threading.Event, names[host]).set()
    while not (await client.write([RECORD]))[0].final:
        pass
    assert writer.wrote == 1
    await client.close()


async def test_a_private_host_is_refused_beside_one_that_nobody_answers_for(names: Names) -> None:
    names.update({"silent.example": threading.Event(), "inside.example": INSIDE})
    client = held(Writer("silent.example", "inside.example"), 1.0)
    (verdict,) = await client.write([RECORD])
    assert (verdict.outcome, verdict.reason.partition(":")[0]) == (Outcome.DEAD, "inside.example")
    await client.close()


async def test_silent_names_hold_up_no_other_destination(names: Names) -> None:
    silent = {f"{n}.example": threading.Event() for n in range(100)}  # more than anybody has threads
    names.update({**silent, "tool.example": PUBLIC})
    held_up = [held(Writer(host), 0.05) for host in silent]
    told = await asyncio.gather(*(client.write([RECORD]) for client in held_up))
    assert all(one.outcome is Outcome.RETRY for (one,) in told)
    other = held(Writer("tool.example"))
    assert (await asyncio.wait_for(other.write([RECORD]), 30))[0].outcome is Outcome.DELIVERED
    assert await asyncio.wait_for(asyncio.to_thread(lambda: "at once"), 30) == "at once"
    for client in (*held_up, other):
        await client.close()


async def test_a_client_that_is_closed_writes_nothing_and_waits_for_no_name(names: Names) -> None:
    names["silent.example"] = threading.Event()
    client = held(writer := Writer("silent.example"), 600)
    waiting = asyncio.create_task(client.write([RECORD]))
    await asyncio.sleep(0)
    await client.close()
    for told in (await asyncio.wait_for(waiting, 30), await client.write([RECORD])):
        assert [(one.outcome, one.reason) for one in told] == [(Outcome.RETRY, "not sent: closing")]
    assert (writer.wrote, writer.closed) == (0, 1)


async def test_a_destination_whose_name_nobody_answers_for_says_so(plant: Plant, names: Names) -> None:
    names["silent.example"] = threading.Event()
    await plant.start(config("kafka", "silent.example", timeout="50ms"))
    await plant.send(IDENTIFY)
    await plant.until(lambda: row(plant)["retrying"] == 1)
    (waits,) = plant.engine.couriers["tool"].chains.rows()
    assert waits.reason == "silent.example: the name was not looked up within 0.05 s"


@pytest.mark.parametrize("slug", sorted(TOOLS))
def test_check_warns_of_it(slug: str) -> None:
    for host, private, found in (
        ("127.0.0.1", False, True), ("LocalHost", False, True), ("localhost.", False, True), ("10.1.2.3", True, False),
        ("tool.example", False, False),
    ):
        made = parse(config(slug, host, private=private), "config.yaml", {})
        assert bool([one for one in unreachable(made) if one.path[:2] == ("destinations", "tool")]) == found
