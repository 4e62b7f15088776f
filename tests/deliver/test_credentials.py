"""Credentials on the way out: tokens are asked for once, renewed, and never written down."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from engine_kit import Plant, Server, config, event
from hypothesis import given, settings
from hypothesis import strategies as st
from keyed_tool import Keyed
from structlog.testing import capture_logs

from dataplane.deliver.auth import Account, Accounts
from dataplane.deliver.exchange import Unauthorized, run
from dataplane.deliver.http import Sender
from dataplane.deliver.rehearsal import rehearse
from destinations import registry
from turnout import OAuth2, Request, Response, Verdict
from turnout.auth import Token
from turnout.destination import BEHIND, Context, Delivery
from turnout.event import Event
from turnout.testing import FakeClock, Recorder
from turnout.verdict import Outcome, pause

SECRET = "s3cret-value-of-the-client"


@pytest.fixture(autouse=True)
def tool(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("keyed", "keyed_tool:Keyed", registry.GROUP)
    monkeypatch.setattr(registry, "_others", lambda: {"keyed": entry})


@pytest.fixture
def endpoint() -> Iterator[Recorder]:
    """A token endpoint: `token-1`, `token-2`, … for an hour each."""
    with Recorder() as made:
        made.decide(lambda _: granted(f"token-{len(made.received) + 1}-of-the-endpoint"))
        yield made


def granted(token: str, **more: Any) -> tuple[int, bytes]:
    return 200, json.dumps({"access_token": token, "expires_in": 3600, **more}).encode()


def keyed(server: Server, endpoint: Recorder | None = None, **chosen: Any) -> str:
    """A config with the tool as `hook`."""
    made = {"kind": "client_credentials", "secret": SECRET, "url": server.url}
    made |= {"token_url": endpoint.url + "token"} if endpoint else {}
    made |= {k: v for k, v in chosen.items() if k not in ("delivery", "extra")}
    text = config("http://x.example/", delivery=chosen.get("delivery", "{}"), extra=chosen.get("extra", ""))
    return text.replace("type: webhook", "type: keyed").replace(
        '{webhook_url: "http://x.example/"}', json.dumps(made)
    )


def asked(endpoint: Recorder) -> list[dict[str, str]]:
    return [dict(parse_qsl(one.body.decode())) for one in endpoint.received]


def tokens(server: Server) -> list[str]:
    return [headers["Authorization"] for headers in server.headers]


def hook(plant: Plant) -> dict[str, Any]:
    return plant.status()["destinations"]["hook"]


async def delivered(plant: Plant, count: int) -> None:
    await plant.until(lambda: hook(plant)["delivered"] == count)


# ---- kinds that stand in the config


@pytest.mark.parametrize(("kind", "header", "value"), [
    ("basic", "Authorization", "Basic " + base64.b64encode(f"ada:{SECRET}".encode()).decode()),
    ("bearer", "Authorization", f"Bearer {SECRET}"), ("header", "X-Key", SECRET),
])  # fmt: skip
async def test_a_key_of_the_config_is_in_every_request(
    plant: Plant, server: Server, kind: str, header: str, value: str
) -> None:
    await plant.start(keyed(server, kind=kind))
    await plant.send(event("ann", 1), event("bob", 1))
    await delivered(plant, 2)
    assert [headers[header] for headers in server.headers] == [value] * 2


async def test_a_key_in_the_address(plant: Plant, server: Server) -> None:
    with Recorder() as recorder:
        await plant.start(keyed(server, kind="query", url=recorder.url + "in?x=1"))
        await plant.send(event("ann", 1))
        await delivered(plant, 1)
        assert recorder.received[0].query == {"x": "1", "key": SECRET}


async def test_aws_requests_are_signed_when_they_are_sent(plant: Plant, server: Server) -> None:
    await plant.start(keyed(server, kind="sigv4"))
    await plant.send(event("ann", 1))
    await delivered(plant, 1)
    plant.advance(3 * 86_400)
    await plant.send(event("ann", 2))
    await delivered(plant, 2)
    dates = [datetime.strptime(h["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) for h in server.headers]
    assert (dates[1] - dates[0]).days in (2, 3)
    assert abs((plant.clock.now() - dates[1]).total_seconds()) < 60
    for headers, date in zip(server.headers, dates, strict=True):
        scope = f"Credential=AKID/{date:%Y%m%d}/eu-west-1/firehose/aws4_request"
        assert scope in headers["Authorization"]


# ---- access tokens


async def test_many_requests_ask_once(plant: Plant, server: Server, endpoint: Recorder) -> None:
    await plant.start(keyed(server, endpoint))
    await plant.send(*(event(f"user-{n}", 1) for n in range(30)))
    await delivered(plant, 30)
    assert set(tokens(server)) == {"Bearer token-1-of-the-endpoint"}
    assert asked(endpoint) == [
        {"grant_type": "client_credentials", "client_id": "client", "client_secret": SECRET}
    ]


async def test_a_private_key_signs_what_it_asks_with(plant: Plant, server: Server, endpoint: Recorder) -> None:
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    await plant.start(keyed(server, endpoint, kind="jwt_bearer", secret=pem))
    await plant.send(event("ann", 1))
    await delivered(plant, 1)
    (form,) = asked(endpoint)
    signed, _, proof = form["assertion"].rpartition(".")
    key.public_key().verify(base64.urlsafe_b64decode(proof + "=="), signed.encode(), PKCS1v15(), SHA256())
    claims = json.loads(base64.urlsafe_b64decode(signed.partition(".")[2] + "=="))
    assert (claims["iss"], claims["aud"]) == ("svc@x.example", endpoint.url + "token")
    assert abs(claims["iat"] - plant.clock.now().timestamp()) < 60
    assert tokens(server) == ["Bearer token-1-of-the-endpoint"]


async def test_requests_go_where_the_token_says(plant: Plant, server: Server, endpoint: Recorder) -> None:
    home = server.url.rpartition("/")[0]
    endpoint.decide(lambda _: granted("token-of-the-crew", instance_url=home))
    await plant.start(keyed(server, endpoint, url="/boats", base="instance_url"))
    await plant.send(event("ann", 1), event("bob", 1))
    await delivered(plant, 2)
    assert tokens(server) == ["Bearer token-of-the-crew"] * 2
    assert len(endpoint.received) == 1


async def test_a_token_that_does_not_say_where_is_asked_for_again(
    plant: Plant, server: Server, endpoint: Recorder
) -> None:
    await plant.start(keyed(server, endpoint, url="/boats", base="instance_url"))
    await plant.send(event("ann", 1))
    await plant.until(lambda: hook(plant)["retrying"] == 1)
    assert not server.got
    endpoint.decide(lambda _: granted("token-2", instance_url=server.url.rpartition("/")[0]))
    plant.advance(70)
    await delivered(plant, 1)


async def test_a_token_is_replaced_a_minute_before_it_ends(plant: Plant, server: Server, endpoint: Recorder) -> None:
    await plant.start(keyed(server, endpoint))
    for n, seconds in enumerate((0, 3500, 60)):
        plant.advance(seconds)
        await plant.send(event("ann", n))
        await delivered(plant, n + 1)
    assert [text[7:14] for text in tokens(server)] == ["token-1", "token-1", "token-2"]


async def test_a_401_is_asked_again_with_a_new_token(plant: Plant, server: Server, endpoint: Recorder) -> None:
    await plant.start(keyed(server, endpoint))
    server.answer = lambda _: (200 if "token-2" in tokens(server)[-1] else 401, {})
    await plant.send(*(event(f"user-{n}", 1) for n in range(8)))
    await delivered(plant, 8)
    assert len(endpoint.received) == 2
    assert hook(plant)["state"] == "running"
    assert hook(plant)["retrying"] == 0


async def test_a_second_401_is_the_tools_own(plant: Plant, server: Server, endpoint: Recorder) -> None:
    await plant.start(keyed(server, endpoint))
    server.answer = lambda _: (401, {})
    await plant.send(event("ann", 1))
    await plant.until(lambda: hook(plant)["state"] == "paused")
    assert [text[7:14] for text in tokens(server)] == ["token-1", "token-2"]
    assert "HTTP 401" in str(hook(plant))
    server.answer = lambda _: (200, {})
    plant.advance(70)
    await delivered(plant, 1)
    assert hook(plant)["state"] == "running"


@pytest.mark.parametrize(("status", "body", "said"), [
    (400, {"error": "invalid_client", "error_description": f"not {SECRET}"}, "HTTP 400 invalid_client"),
    (401, {"error": SECRET}, "HTTP 401 ***"), (200, {"error": "bad_code"}, "HTTP 200 bad_code"),
])  # fmt: skip
async def test_an_endpoint_that_says_no_pauses(
    plant: Plant, server: Server, endpoint: Recorder, status: int, body: Any, said: str
) -> None:
    endpoint.answer(status, json.dumps(body))
    await plant.start(keyed(server, endpoint))
    await plant.send(event("ann", 1), event("bob", 1))
    await plant.until(lambda: hook(plant)["state"] == "paused")
    assert f"no access token: the token endpoint answered {said}" in str(hook(plant))
    assert SECRET not in str(plant.status())
    assert not server.got
    plant.advance(70)
    await delivered(plant, 2)


async def test_an_endpoint_that_fails_is_asked_again(plant: Plant, server: Server, endpoint: Recorder) -> None:
    endpoint.answer(500)
    endpoint.answer(503, json.dumps({"error": "temporarily_unavailable"}))
    await plant.start(keyed(server, endpoint))
    await plant.send(event("ann", 1))
    await plant.until(lambda: hook(plant)["retrying"] == 1)
    assert hook(plant)["state"] == "running"
    assert not server.got
    await plant.passes(30, lambda: hook(plant)["delivered"] == 1)
    assert len(endpoint.received) == 3


async def test_an_endpoint_that_hangs_is_left_after_the_timeout(
    plant: Plant, server: Server, endpoint: Recorder
) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    url = f"http://127.0.0.1:{port}/token"
    await plant.start(keyed(server, kind="client_credentials", token_url=url, delivery="{timeout: 200ms}"))
    await plant.send(event("ann", 1))
    await plant.until(lambda: hook(plant)["retrying"] == 1)
    assert not server.got
    await plant.reload(keyed(server, endpoint))
    await delivered(plant, 1)
    silent.close()


async def test_a_private_endpoint_is_refused_where_those_are(plant: Plant, server: Server, endpoint: Recorder) -> None:
    await plant.start(keyed(server, endpoint).replace("allow_private: true", "allow_private: false"))
    await plant.send(event("ann", 1))
    await plant.until(lambda: hook(plant)["state"] == "paused")
    assert "a private address; egress.allow_private permits it" in str(hook(plant))
    assert not endpoint.received


# ---- how long a token lives


async def test_a_reload_keeps_the_token_of_the_same_credentials_only(
    plant: Plant, server: Server, endpoint: Recorder
) -> None:
    await plant.start(keyed(server, endpoint))
    changes = [{}, {"delivery": "{concurrency: 2}"}, {"secret": "another-secret"}]
    for n, change in enumerate(changes):
        await plant.reload(keyed(server, endpoint, **change))
        await plant.send(event("ann", n))
        await delivered(plant, n + 1)
    assert [text[7:14] for text in tokens(server)] == ["token-1", "token-1", "token-2"]
    assert [one["client_secret"] for one in asked(endpoint)] == [SECRET, "another-secret"]
    assert len(plant.engine.accounts) == 1, "the token that nobody uses any more is not kept"


async def test_a_replay_has_its_destinations_token(plant: Plant, server: Server, endpoint: Recorder) -> None:
    await plant.start(keyed(server, endpoint))
    await plant.send(event("ann", 1))
    await delivered(plant, 1)
    started = await plant.call("replay.start", {"destination": "hook", "unordered": True, "rate": 1000})
    await plant.until(lambda: plant.engine.replays.rows[started["id"]].state == "done")
    assert tokens(server) == ["Bearer token-1-of-the-endpoint"] * 2
    assert len(endpoint.received) == 1


async def test_a_new_refresh_token_is_used_until_a_restart(plant: Plant, server: Server, endpoint: Recorder) -> None:
    endpoint.decide(lambda _: granted("at", refresh_token=f"refresh-{len(endpoint.received) + 1}-given"))
    text = keyed(server, endpoint, kind="refresh_token")
    await plant.start(text)
    for n in range(3):
        await plant.send(event("ann", n))
        await delivered(plant, n + 1)
        plant.advance(3600)
        await plant.reload(keyed(server, endpoint, kind="refresh_token", delivery=f"{{concurrency: {n + 1}}}"))
    await plant.stop()
    await plant.start(text)
    await plant.send(event("ann", 3))
    await delivered(plant, 4)
    used = [one["refresh_token"] for one in asked(endpoint)]
    assert used == [SECRET, "refresh-1-given", "refresh-2-given", SECRET]
    assert not holding(plant.folder / "data", SECRET, "refresh-1-given", "refresh-2-given")


# ---- never written down


def holding(folder: Path, *secrets: str) -> list[tuple[str, str]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 5
    return [(path.name, secret) for path in files for secret in secrets if secret.encode() in path.read_bytes()]


@pytest.mark.parametrize("kind", ["client_credentials", "basic", "bearer", "header", "query", "sigv4"])
async def test_no_file_of_the_data_folder_holds_a_secret(
    plant: Plant, endpoint: Recorder, server: Server, kind: str
) -> None:
    """The tool repeats what it was sent in its answers, and events die, wait and are seen by the journal."""
    with Recorder() as tool, capture_logs() as said:
        def echo(request: Any) -> tuple[int, bytes]:
            n = json.loads(request.body)["properties"]["n"]
            told = json.dumps({**request.headers, **request.query})
            return {1: 400, 2: 503, 3: 401}.get(n, 200), f"I do not know {told}".encode()

        tool.decide(echo)
        text = keyed(server, endpoint, kind=kind, url=tool.url)
        await plant.start(text)
        await plant.send(event("ann", 0), event("ann", 1), event("bob", 2))
        await plant.until(lambda: hook(plant)["dead"] == 1 and hook(plant)["retrying"] == 1)
        await plant.send(event("eve", 3))
        await plant.until(lambda: hook(plant)["state"] == "paused")
        while not (rows := (await plant.call("dead.list", {}))["dead"]):
            await asyncio.sleep(0.01)  # the books are written ten times a second
        letter = await plant.call("dead.show", {"id": rows[0]["id"]})
        await plant.stop()
        sent = {text for one in tool.received for text in (one.headers.get("authorization", ""), *one.query.values())}
        await plant.start(text)
    parts = {word for text in sent for word in (text.rpartition(" ")[2],) if kind not in ("sigv4", "header") and word}
    assert not holding(plant.folder / "data", SECRET, *parts, "token-1-of", "token-2-of")
    assert holding(plant.folder / "data", "I do not know"), "the answer is kept, and can be read in the files"
    answer = letter["answer"]["body"]
    assert "I do not know" in answer
    assert "***" in answer or kind == "sigv4"  # which sends no secret
    assert "deliver.paused" in str(said)
    for secret in (SECRET, *parts):
        assert secret not in str(letter) + str(plant.status()) + str(said)


def test_a_preview_shows_where_the_credentials_go_and_not_what_they_are() -> None:
    at = Context(datetime.now(UTC))
    one = Event(b'{"type":"track","messageId":"m"}', key=1, number=1)
    for kind in ("basic", "bearer", "header", "query", "sigv4", "client_credentials", "refresh_token"):
        adapter = registry.build(
            "keyed", {"url": "https://x.example/", "kind": kind, "secret": SECRET, "token_url": "https://x.example/t"}
        )
        shown = rehearse(adapter, one, at)
        (request,) = shown["requests"]
        assert "***" in [*request["headers"].values(), *request["params"].values()], kind
        assert "***" in request["curl"]
        assert SECRET not in str(shown)


# ---- the account alone


class Endpoint:
    """Answers as told, and counts; a sender that needs no network."""

    def __init__(self, *answers: Response) -> None:
        self.answers = list(answers)
        self.asked: list[Request] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def send(self, request: Request, timeout: float) -> Response:
        self.asked.append(request)
        await self.gate.wait()
        return self.answers.pop(0)

    async def close(self) -> None: ...


def token(value: str, life: float | None = 3600) -> Response:
    return Response(200, {}, json.dumps({"access_token": value, "expires_in": life}).encode())


OAUTH = OAuth2("https://t.example/", "client", SECRET)


async def test_who_waits_takes_the_answer_that_is_on_its_way_a_failure_too() -> None:
    endpoint = Endpoint(Response(500), token("a"))
    endpoint.gate.clear()
    account = Account(OAUTH, FakeClock())
    waiting = [asyncio.create_task(account.token(endpoint, 1.0)) for _ in range(20)]
    await asyncio.sleep(0)
    endpoint.gate.set()
    found = await asyncio.gather(*waiting)
    assert {one.outcome for one in found if isinstance(one, Verdict)} == {Outcome.RETRY}
    assert len(endpoint.asked) == 1
    assert await account.token(endpoint, 1.0) == Token("a", FakeClock().now().replace(hour=4))


async def test_who_is_cancelled_takes_nobody_with_him() -> None:
    endpoint = Endpoint(token("a"), token("b"))
    endpoint.gate.clear()
    account = Account(OAUTH, FakeClock())
    first, second = (asyncio.create_task(account.token(endpoint, 1.0)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    endpoint.gate.set()
    found = await second
    assert isinstance(found, Token)


async def test_a_late_refusal_of_an_old_token_leaves_the_new_one() -> None:
    endpoint = Endpoint(token("a"), token("b"))
    account = Account(OAUTH, FakeClock())
    old = await account.token(endpoint, 1.0)
    assert isinstance(old, Token)
    account.refused(old)
    new = await account.token(endpoint, 1.0)
    account.refused(old)
    assert await account.token(endpoint, 1.0) is new


async def test_a_token_that_is_still_good_outlives_an_endpoint_that_fails() -> None:
    clock = FakeClock()
    lost = Response(0, error="t: cannot connect")
    endpoint = Endpoint(token("a", 600), Response(503), lost, Response(503), token("b"))
    account = Account(OAUTH, clock)
    seen: list[str] = []
    for seconds in (0, 545, 1, 5, 50, 10):
        clock.advance(seconds)
        found = await account.token(endpoint, 1.0)
        seen.append(found.value if isinstance(found, Token) else str(found.outcome))
    assert seen == ["a", "a", "a", "a", "retry", "b"]
    assert len(endpoint.asked) == 5


@settings(max_examples=50)
@given(st.floats(1, 1e6), st.floats(0, 2e6))
def test_a_token_is_used_for_half_its_life_at_least_and_never_after_it(life: float, later: float) -> None:
    async def go() -> None:
        clock = FakeClock()
        endpoint = Endpoint(token("a", life), token("b", life))
        account = Account(OAUTH, clock)
        await account.token(endpoint, 1.0)
        clock.advance(later)
        found = await account.token(endpoint, 1.0)
        assert isinstance(found, Token)
        if later < life / 2 - 1e-3:
            assert found.value == "a"
        elif later > life:
            assert found.value == "b"

    asyncio.run(go())


async def test_without_credentials_nothing_stands_between() -> None:
    sender = Sender()
    assert Accounts(FakeClock()).authorize(None, sender) is sender


@pytest.mark.parametrize("spell", [
    str, json.dumps, lambda t: json.dumps(t).replace("/", "\\/"), lambda t: quote(t, safe=""),
])  # fmt: skip
async def test_a_token_that_an_answer_repeats_is_masked_however_it_is_spelled(spell: Callable[[str], str]) -> None:
    secret = 'to/ken+"of=the endpoint'
    endpoint = Endpoint(token(secret), Response(400, {}, f"no: {spell(secret)}!".encode()))
    sender = Accounts(FakeClock()).authorize(OAUTH, endpoint)
    found = await sender.send(Request("POST", "https://x.example/"), 1.0)
    assert found.body.replace(b'"', b"") == b"no: ***!"


# ---- an exchange without a token


async def test_an_exchange_without_a_token_asks_once_and_says_why() -> None:
    chosen = {"url": "https://x.example/", "kind": "basic", "secret": SECRET}
    adapter = Keyed(Keyed.settings_type.model_validate(chosen))
    events = [Event(b'{"type":"track"}', key=key, number=n) for n, key in enumerate((1, 2, 1, 3))]
    tries: list[Request] = []
    no = pause("no access token: the token endpoint answered HTTP 400")

    async def send(request: Request, carried: Sequence[Event]) -> Response:
        tries.append(request)
        return Response(200) if len(tries) == 1 else Unauthorized(0, error=no.reason, verdict=no)

    found = await run(adapter, events, Context(datetime.now(UTC), Delivery(batch=1)), send, None)
    assert len(tries) == 2
    assert [one.verdict.outcome for one in found] == [Outcome.DELIVERED, Outcome.PAUSE, Outcome.PAUSE, Outcome.PAUSE]
    assert {one.verdict.reason for one in found[1:]} == {no.reason}
    assert all(one.verdict.reason != BEHIND for one in found)
    assert not any("Authorization" in one.request.headers for one in found if one.request)
