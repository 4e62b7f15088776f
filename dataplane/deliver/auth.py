"""Credentials onto the requests of a destination, as they leave; access tokens are asked for and kept here.

Tokens are in memory only. They belong to the credentials, not to a plan: a reload that leaves those as
they are keeps the token, one that changes them begins anew, and a replay shares its destination's. Where several
processes send with the same credentials, the app lends one token to all: an endpoint may end one token when it gives
another, or take a refresh token once.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection, Sequence
from dataclasses import astuple, is_dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Protocol
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from dataplane.deliver.exchange import Sender, Unauthorized
from dataplane.deliver.http import unsendable
from dataplane.metrics.log import logger
from turnout.auth import Auth, Login, OAuth2, SigV4, Token, apply, bearer, secrets, token_of, token_request
from turnout.clock import Clock
from turnout.errors import Fixable, Refused, Unavailable
from turnout.preview import MASK, mask, spellings
from turnout.request import Request, Response
from turnout.sigv4 import sign
from turnout.verdict import Outcome, Verdict, pause, retry

__all__ = ["Account", "Accounts", "Lender"]

log = logger()
EARLY = 60.0
"""Seconds before its end at which a token is replaced, or half its life where that is less."""
AGAIN = 5.0
"""Seconds until the endpoint is asked again, where it failed and the token it gave before is still good."""


class Lender(Protocol):
    """Keeps the token of each account for several processes, of which one at a time asks the endpoint."""

    async def take(self, account: str, stale: str) -> tuple[Token | None, str | None]:
        """The token there is that is not `stale`, else None: then ask for one, with the refresh token given here
        where there is one, and `give`. Waits for another process that asks. Raises `Unavailable`."""
        ...

    async def give(self, account: str, token: Token | None) -> None:
        """What came of asking. Raises `Unavailable`."""
        ...


class Accounts:
    """The accounts of everything that sends: one per distinct `OAuth2` or `Login` value, as long as a plan has it."""

    def __init__(self, clock: Clock, lender: Lender | None = None) -> None:
        self._clock = clock
        self._lender = lender
        self._known: WeakValueDictionary[OAuth2 | Login, Account] = WeakValueDictionary()

    def __len__(self) -> int:
        """How many there are."""
        return len(self._known)

    def authorize(self, auth: Auth | None, sender: Sender) -> Sender:
        """What sends with these credentials; the sender itself where there are none."""
        if auth is None:
            return sender
        if not isinstance(auth, OAuth2 | Login):
            return _Signing(auth, sender, self._clock)
        account = self._known.get(auth)
        if account is None:
            account = self._known[auth] = Account(auth, self._clock, self._lender)
        return _Bearing(account, sender)


class Account:
    """One set of credentials at a token endpoint, and the token it has now."""

    def __init__(self, auth: OAuth2 | Login, clock: Clock, lender: Lender | None = None) -> None:
        self.auth = auth
        self._lender = lender
        self._name = _digest(auth) if lender else ""
        self._stale = ""  # the value of the token that a tool refused last
        self.hidden: list[bytes] = []
        """What no answer may repeat, in every spelling."""
        self._secrets = secrets(auth)
        self._clock = clock
        self._asking = asyncio.Lock()
        self._answers = 0
        self._last: Token | Verdict | None = None
        self._token: Token | None = None
        self._due = self._ends = 0.0

    async def token(self, sender: Sender, timeout: float) -> Token | Verdict:
        """A token that is good now, asked for through `sender` where there is none; or why there is none.

        Whoever waits for an answer that is on its way takes it as his own, a refusal too.
        """
        if self._token is not None and self._clock.monotonic() < self._due:
            return self._token
        before = self._answers
        async with self._asking:
            if self._last is None or self._answers == before:
                self._last = await self._ask(sender, timeout)
                self._answers += 1
            return self._last

    def refused(self, token: Token) -> None:
        """A tool does not take it; what has replaced it since is left alone."""
        self._stale = token.value
        if self._token is token:
            self._token = None

    async def _ask(self, sender: Sender, timeout: float) -> Token | Verdict:
        lender = self._lender
        if lender is None:
            return await self._fetch(sender, timeout)
        stale = self._stale if self._token is None else self._token.value
        try:
            token, renewed = await lender.take(self._name, stale)
            if token is not None:
                self._adopt(token, self._clock.now(), self._clock.monotonic())
                return token
            if renewed and isinstance(self.auth, OAuth2):
                self.auth = replace(self.auth, refresh_token=renewed)
                self._secrets |= secrets(self.auth)
            found: Token | Verdict | None = None
            try:
                found = await self._fetch(sender, timeout)
            finally:
                await lender.give(self._name, found if isinstance(found, Token) and found.value != stale else None)
            return found
        except Unavailable as error:
            return retry(f"no access token: {error}")

    async def _fetch(self, sender: Sender, timeout: float) -> Token | Verdict:
        now, left = self._clock.now(), self._clock.monotonic()
        try:
            request = token_request(self.auth, now)
        except Fixable as error:
            return pause(f"no access token: {error}")
        answer = await sender.send(request, timeout)
        auth = self.auth
        found = auth.token(answer, now) if isinstance(auth, Login) else token_of(answer, now, auth.base)
        if isinstance(found, Verdict):
            if found.outcome is Outcome.RETRY and self._token is not None and self._clock.monotonic() < self._ends:
                self._due = self._clock.monotonic() + AGAIN
                return self._token
            found = replace(found, reason=mask(found.reason, self._secrets))
            log.warning("deliver.no_token", endpoint=urlsplit(self.auth.token_url).hostname, reason=found.reason)
            return found
        self._adopt(found, now, left)
        self._renew(found.refresh_token)
        return found

    def _adopt(self, found: Token, now: datetime, left: float) -> None:
        """The token that is used from now on, got at `left` on the monotonic clock."""
        self._token = found
        life = math.inf if found.expires_at is None else (found.expires_at - now).total_seconds()
        self._ends = left + life
        self._due = math.inf if life == math.inf else self._ends - min(EARLY, life / 2)
        self.hidden = _needles(self._secrets | {found.value})

    def _renew(self, given: str | None) -> None:
        """The endpoint gave another refresh token: the one in the config may be worth nothing from now on."""
        auth = self.auth
        if not given or isinstance(auth, Login):
            return
        if auth.grant == "refresh_token" and given != auth.refresh_token:
            self.auth = replace(auth, refresh_token=given)
            self._secrets |= secrets(self.auth)
            log.warning(
                "deliver.refresh_token_replaced", endpoint=urlsplit(self.auth.token_url).hostname,
                consequence="kept in memory only: the configured one may be refused after a restart",
            )  # fmt: skip


class _Signing:
    """A sender whose requests carry credentials that stand in the config."""

    def __init__(self, auth: Auth, sender: Sender, clock: Clock) -> None:
        self._auth = auth
        self._sender = sender
        self._clock = clock
        self._hidden = _needles(secrets(auth))

    async def send(self, request: Request, timeout: float) -> Response:
        """Send with the credentials; what the answer repeats of them is masked."""
        auth = self._auth
        assert not isinstance(auth, OAuth2 | Login)
        try:
            made = sign(auth, request, self._clock.now()) if isinstance(auth, SigV4) else apply(auth, request)
        except (Refused, ValueError) as error:  # a body that is no JSON, an address that is none
            return unsendable(error)
        return _without(await self._sender.send(made, timeout), self._hidden)

    async def close(self) -> None:
        """Close connections."""
        await self._sender.close()


class _Bearing:
    """A sender whose requests carry an access token; a tool's 401 is believed when a new one gets it, too."""

    def __init__(self, account: Account, sender: Sender) -> None:
        self._account = account
        self._sender = sender

    async def send(self, request: Request, timeout: float) -> Response:
        """Send with a token, each step within `timeout`; `Unauthorized` where there is none."""
        response: Response | None = None
        for _ in range(2):
            token = await self._account.token(self._sender, timeout)
            if isinstance(token, Verdict):
                return Unauthorized(0, error=token.reason, verdict=token)
            made = bearer(self._account.auth, request, token)
            response = _without(await self._sender.send(made, timeout), self._account.hidden)
            if response.status != 401:
                break
            self._account.refused(token)
        assert response is not None
        return response

    async def close(self) -> None:
        """Close connections."""
        await self._sender.close()


def _digest(auth: OAuth2 | Login) -> str:
    """What credentials are called between processes: nothing of them can be read from it."""
    assert is_dataclass(auth)
    return sha256(repr((type(auth).__name__, astuple(auth))).encode()).hexdigest()


def _needles(hidden: Collection[str]) -> list[bytes]:
    return [text.encode("utf-8", "replace") for text in spellings(hidden)]


def _without(response: Response, hidden: Sequence[bytes]) -> Response:
    """The answer without what it repeats of the credentials: it is kept with dead letters."""
    body = response.body
    for secret in hidden:
        if secret in body:
            body = body.replace(secret, MASK.encode())
    return response if body is response.body else replace(response, body=body)
