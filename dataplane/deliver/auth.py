"""Credentials onto the requests of a destination, as they leave; access tokens are asked for and kept here.

Tokens are in memory only. They belong to the credentials, not to a plan: a reload that leaves those as
they are keeps the token, one that changes them begins anew, and a replay shares its destination's.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from dataplane.deliver.exchange import Sender, Unauthorized
from dataplane.deliver.http import unsendable
from dataplane.metrics.log import logger
from turnout.auth import Auth, Login, OAuth2, SigV4, Token, apply, bearer, secrets, token_of, token_request
from turnout.clock import Clock
from turnout.errors import Fixable, Refused
from turnout.preview import MASK, mask, spellings
from turnout.request import Request, Response
from turnout.sigv4 import sign
from turnout.verdict import Outcome, Verdict, pause

__all__ = ["Account", "Accounts"]

log = logger()
EARLY = 60.0
"""Seconds before its end at which a token is replaced, or half its life where that is less."""
AGAIN = 5.0
"""Seconds until the endpoint is asked again, where it failed and the token it gave before is still good."""


class Accounts:
    """The accounts of everything that sends: one per distinct `OAuth2` or `Login` value, as long as a plan has it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
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
            account = self._known[auth] = Account(auth, self._clock)
        return _Bearing(account, sender)


class Account:
    """One set of credentials at a token endpoint, and the token it has now."""

    def __init__(self, auth: OAuth2 | Login, clock: Clock) -> None:
        self.auth = auth
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
        if self._token is token:
            self._token = None

    async def _ask(self, sender: Sender, timeout: float) -> Token | Verdict:
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
        self._token = found
        life = math.inf if found.expires_at is None else (found.expires_at - now).total_seconds()
        self._ends = left + life
        self._due = math.inf if life == math.inf else self._ends - min(EARLY, life / 2)
        self._renew(found.refresh_token)
        self.hidden = _needles(self._secrets | {found.value})
        return found

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


def _needles(hidden: Collection[str]) -> list[bytes]:
    return [text.encode("utf-8", "replace") for text in spellings(hidden)]


def _without(response: Response, hidden: Sequence[bytes]) -> Response:
    """The answer without what it repeats of the credentials: it is kept with dead letters."""
    body = response.body
    for secret in hidden:
        if secret in body:
            body = body.replace(secret, MASK.encode())
    return response if body is response.body else replace(response, body=body)
