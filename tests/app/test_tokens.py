"""One access token for all pipeline processes, also where an endpoint ends one when it gives another."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

import pytest

from dataplane.app.borrower import Borrower
from dataplane.app.tokens import Tokens
from dataplane.clock import SystemClock
from dataplane.deliver.auth import Account
from dataplane.deliver.http import Sender
from turnout import OAuth2
from turnout.auth import Token
from turnout.errors import Unavailable
from turnout.testing import Recorder


class Child:
    """A role as the app sees it: its name, and its process while it lives."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.pid: int | None = 100 + len(name)


class Strict:
    """A token endpoint where a refresh token is good once, and only the newest access token is."""

    def __init__(self, recorder: Recorder) -> None:
        self.url = recorder.url + "token"
        self.good = "refresh-0"
        self.asked = 0
        self.wrong = 0
        recorder.decide(self.answer)

    def answer(self, request: Any) -> tuple[int, bytes]:
        self.asked += 1
        if dict(parse_qsl(request.body.decode()))["refresh_token"] != self.good:
            self.wrong += 1
            return 400, b'{"error": "invalid_grant"}'
        self.good = f"refresh-{self.asked}"
        told = {"access_token": f"access-{self.asked}", "refresh_token": self.good, "expires_in": 3600}
        return 200, json.dumps(told).encode()

    @property
    def auth(self) -> OAuth2:
        return OAuth2(
            token_url=self.url, grant="refresh_token", client_id="c", client_secret="s", refresh_token="refresh-0"
        )


@pytest.fixture
def endpoint() -> Iterator[Strict]:
    with Recorder() as recorder:
        yield Strict(recorder)


class Several:
    """Accounts with the same credentials, one per process, and the app between them."""

    def __init__(self, endpoint: Strict, count: int) -> None:
        self.app = Tokens()
        self.children: list[Any] = [Child(f"pipeline-{n}") for n in range(count)]
        self.sender = Sender(allow_private=True, connections=4)
        self.endpoint = endpoint
        self.accounts = [self.fresh(n) for n in range(count)]

    def lender(self, number: int) -> Borrower:
        return Borrower(lambda verb, args: self.app.answer(self.children[number], verb, args))

    def fresh(self, number: int) -> Account:
        return Account(self.endpoint.auth, SystemClock(), self.lender(number))

    async def tokens(self) -> list[str]:
        found = await asyncio.gather(*(one.token(self.sender, 5.0) for one in self.accounts))
        return [one.value if isinstance(one, Token) else one.reason for one in found]


async def test_one_asks_for_all_and_nobody_ends_the_token_of_another(endpoint: Strict) -> None:
    several = Several(endpoint, 4)
    assert await several.tokens() == ["access-1"] * 4
    assert await several.tokens() == ["access-1"] * 4
    assert endpoint.asked == 1

    for account in several.accounts:  # a tool takes the token no more, as each finds out
        found = await account.token(several.sender, 5.0)
        assert isinstance(found, Token)
        account.refused(found)
    assert await several.tokens() == ["access-2"] * 4
    assert (endpoint.asked, endpoint.wrong) == (2, 0)
    await several.sender.close()


async def test_a_process_that_comes_back_takes_the_token_there_is_and_the_newest_refresh_token(
    endpoint: Strict,
) -> None:
    several = Several(endpoint, 2)
    await several.tokens()
    several.children[1].pid = 999
    several.accounts[1] = several.fresh(1)
    assert await several.tokens() == ["access-1"] * 2
    found = await several.accounts[1].token(several.sender, 5.0)
    assert isinstance(found, Token)
    several.accounts[1].refused(found)
    found = await several.accounts[1].token(several.sender, 5.0)
    assert isinstance(found, Token)
    assert found.value == "access-2"
    assert endpoint.wrong == 0
    await several.sender.close()


async def test_a_process_that_dies_while_it_asks_keeps_no_other_from_asking(endpoint: Strict) -> None:
    several = Several(endpoint, 2)
    assert await several.lender(0).take("account", "") == (None, None)
    waiting = asyncio.create_task(several.lender(1).take("account", ""))
    await asyncio.sleep(0)
    assert not waiting.done()
    several.children[0].pid = None
    assert await waiting == (None, None)
    await several.lender(0).give("account", None)  # what a dead one said takes nothing from who asks now
    asked = asyncio.create_task(several.lender(0).take("account", ""))
    await several.lender(1).give("account", Token("t", None, "r", "https://there"))
    assert await asked == (Token("t", None, "r", "https://there"), "r")
    await several.sender.close()


async def test_the_app_answers_nothing_else() -> None:
    child: Any = Child("pipeline")
    with pytest.raises(Unavailable, match="other"):
        await Tokens().answer(child, "other", {})
