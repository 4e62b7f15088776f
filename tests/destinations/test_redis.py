"""The redis destination: what it makes of traits, and a real server behind its client."""

from __future__ import annotations

import asyncio
import json
import ssl
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from redis_server import redis_server

from destinations import registry
from destinations.redis import Redis
from destinations.redis.client import Client
from destinations.redis.settings import RedisSettings
from turnout import Context, Event, Record
from turnout.errors import Fixable
from turnout.testing.fake_clock import START

TLS = Path(__file__).parent / "tls"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=8,
)


def made(message: dict, *, trusted: bool = False, **settings):
    adapter = Redis(RedisSettings(address="localhost", **settings))
    event = Event(json.dumps(message).encode(), trusted=trusted)
    return adapter.verdict(event, Context(START, adapter.delivery))


def row(key: str, **fields: str) -> Record:
    return Record(key, None, json.dumps(fields).encode())


def outcomes(verdicts) -> list[str]:
    return [str(one.outcome) for one in verdicts]


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    with redis_server(tmp_path_factory.mktemp("redis")) as found:
        yield found


@pytest.fixture
def server(port):
    with redis.Redis(port=port, decode_responses=True) as connection:
        connection.flushall()
        connection.config_set("maxmemory", 0)
        yield connection


@asynccontextmanager
async def client(port: int, host: str = "127.0.0.1", **settings):
    made = Client(RedisSettings(address=f"{host}:{port}", **settings), Path(), Redis.delivery)
    try:
        yield made
    finally:
        await made.close()


# ---- what is written


def test_a_public_key_cannot_write_profiles() -> None:
    sources = {"profiles_entity": "guest", "profiles_id_type": "email", "profiles_model": "churn"}
    message = {"type": "identify", "userId": "u", "context": {"sources": sources}, "traits": {"risk": 1}}
    assert made(message).target == "user:u"
    assert made(message, trusted=True).target == "guest:email:u"


@given(st.dictionaries(st.text(max_size=8), JSON, max_size=5))
def test_every_field_of_a_hash_is_a_text(traits) -> None:
    message = {"type": "identify", "userId": "u", "traits": traits}
    adapter = Redis(RedisSettings(address="localhost"))
    found = adapter.verdict(Event(message=message), Context(START, adapter.delivery))
    if isinstance(found, Record):
        assert all(isinstance(value, str) for value in json.loads(found.body).values())
    else:
        assert str(found.outcome) == "filtered"


# ---- a real server


async def test_hashes_are_merged_field_by_field(server, port) -> None:
    async with client(port) as one:
        assert outcomes(await one.write([row("a", town="Oslo", beds="2"), row("a", beds="3"), row("b", x="1")])) == [
            "delivered"
        ] * 3
    assert server.hgetall("a") == {"town": "Oslo", "beds": "3"}
    assert server.hgetall("b") == {"x": "1"}


async def test_the_chosen_database_is_written(server, port) -> None:
    async with client(port, database="3") as one:
        await one.write([row("a", x="1")])
    assert not server.exists("a")
    with redis.Redis(port=port, db=3) as other:
        assert other.exists("a")


async def test_a_key_of_another_type_is_dead_and_hurts_no_other(server, port) -> None:
    server.set("taken", "text")
    async with client(port) as one:
        found = await one.write([row("a", x="1"), row("taken", x="secret"), row("b", x="1")])
    assert outcomes(found) == ["delivered", "dead", "delivered"]
    assert "WRONGTYPE" in found[1].reason


async def test_a_full_server_is_tried_again(server, port) -> None:
    server.config_set("maxmemory", 1)
    async with client(port) as one:
        assert outcomes(await one.write([row("a", x="1")])) == ["retry"]
        server.config_set("maxmemory", 0)
        assert outcomes(await one.write([row("a", x="1")])) == ["delivered"]


async def test_json_on_a_server_without_it_pauses(server, port) -> None:
    async with client(port, use_json_module=True) as one:
        found = await one.write([Record("a", None, b'{"x":1}'), Record("a", b"m", b"{}")])
    assert outcomes(found) == ["pause", "pause"]
    assert "JSON commands" in found[0].reason


async def test_no_server_is_tried_again_and_then_found(tmp_path) -> None:
    with redis_server(tmp_path) as port:
        async with client(port) as one:
            assert outcomes(await one.write([row("a", x="1")])) == ["delivered"]
            with redis.Redis(port=port) as admin:
                admin.shutdown(nosave=True)
            found = await one.write([row("a", x="2")])
            assert outcomes(found) == ["retry"]
            assert "no connection" in found[0].reason


async def test_passwords_and_users(tmp_path) -> None:
    with redis_server(tmp_path, "--requirepass", "p-1") as port:
        with redis.Redis(port=port, password="p-1") as admin:
            admin.acl_setuser("guest", enabled=True, passwords=["+g"], keys=["user:*"], commands=["+hset", "+ping"])
        for settings, outcome in (
            ({}, "pause"), ({"password": "wrong"}, "pause"), ({"password": "p-1"}, "delivered"),
        ):
            async with client(port, **settings) as one:
                found = await one.write([row("a", x="1")])
            assert outcomes(found) == [outcome], settings
            assert "wrong" not in found[0].reason
        async with client(port, username="guest", password="g") as one:
            assert outcomes(await one.write([row("user:a", x="1"), row("b", x="1")])) == ["delivered", "pause"]


async def test_a_cluster_is_written_where_its_keys_live(tmp_path) -> None:
    with (
        redis_server(tmp_path, "--cluster-enabled", "yes") as port,
        redis.Redis(port=port, decode_responses=True) as node,
    ):
        async with client(port, cluster_mode=True) as one:
            assert outcomes(await one.write([row("a", x="1")])) == ["retry"]
        node.execute_command("CLUSTER", "ADDSLOTS", *range(16384))
        while node.cluster("info")["cluster_state"] != "ok":
            await asyncio.sleep(0.01)
        async with client(port, cluster_mode=True) as one:
            rows = [row(f"user:{n}", n=str(n)) for n in range(20)]
            assert outcomes(await one.write(rows)) == ["delivered"] * 20
        assert node.hget("user:7", "n") == "7"


@asynccontextmanager
async def tunnel(port: int):
    """TLS in front of a server, since not every build of it has its own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "localhost.certificate.pem", TLS / "localhost.key.pem")

    async def pump(reader, writer):
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except (ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.close()

    async def serve(reader, writer):
        inner, outer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, outer), pump(inner, writer))

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()


async def test_tls_trusts_the_given_certificates_only(server, port) -> None:
    pem = (TLS / "localhost.certificate.pem").read_text()
    async with tunnel(port) as outside:
        for settings, outcome in (
            ({}, "retry"),
            ({"ca_certificate": pem}, "delivered"),
            ({"ca_certificate": pem.replace("\n", "\\n")}, "delivered"),
            ({"skip_verify": True}, "delivered"),
        ):
            async with client(outside, "localhost", secure=True, **settings) as one:
                assert outcomes(await one.write([row("tls", x="1")])) == [outcome], settings
    assert server.hget("tls", "x") == "1"


# ---- settings


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"address": "a:1", "database": "guests"}, "must be a number"),
        ({"address": "a:1,b:2"}, "set cluster_mode"),
        ({"address": "a:1", "cluster_mode": True, "database": "2"}, "only the database 0"),
        ({"address": "a:1", "secure": True, "ca_certificate": "nothing"}, "PEM"),
    ],
)
def test_settings_that_do_not_fit_are_said_before_anything_is_sent(settings, said, tmp_path) -> None:
    with pytest.raises(Fixable, match=said):
        registry.client("redis", RedisSettings(**settings), base=tmp_path, delivery=Redis.delivery)


@pytest.mark.parametrize("address", ["", "a:b", "a:0", "a:70000", "redis://a:1", "a b", "user@a:1", "a,"])
def test_addresses_that_are_none(address) -> None:
    with pytest.raises(ValueError, match="address"):
        RedisSettings(address=address)


def test_addresses() -> None:
    assert RedisSettings(address="[::1]:7, b ,c.example:8").nodes() == [("::1", 7), ("b", 6379), ("c.example", 8)]
