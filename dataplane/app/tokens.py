"""Access tokens that several pipeline processes share: kept by the app, asked for by one process at a time.

In memory only, as in a process that is alone (decision 20). The app knows accounts by a hash of their credentials.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from dataplane.app.child import Child
from turnout.errors import Unavailable

__all__ = ["Tokens"]

LEASE = 30.0
"""Seconds that a process has to ask for a token; one that dies has no longer."""
PATIENCE = 25.0
"""Seconds that others wait for it."""
LOOK = 0.1


@dataclass(slots=True)
class _Account:
    token: dict[str, Any] | None = None
    renewed: str | None = field(default=None, repr=False)
    """The refresh token that stands for the configured one now."""
    asking: tuple[Child, int | None] | None = None
    until: float = 0.0


class Tokens:
    """The app's end; `answer` is for what pipeline processes ask."""

    def __init__(self) -> None:
        self._accounts: dict[str, _Account] = {}

    async def answer(self, child: Child, verb: str, args: dict[str, Any]) -> Any:
        """`token.take` {account, stale} → {token, renewed}; `token.give` {account, token} → None."""
        account = self._accounts.setdefault(str(args.get("account")), _Account())
        if verb == "token.take":
            return await self._take(child, account, str(args.get("stale") or ""))
        if verb == "token.give":
            return self._give(child, account, args.get("token"))
        raise Unavailable(f"the app answers no {verb}")

    async def _take(self, child: Child, account: _Account, stale: str) -> dict[str, Any]:
        until = time.monotonic() + PATIENCE
        while True:
            token = account.token
            if token is not None and token["value"] != stale and not _over(token):
                return {"token": token, "renewed": account.renewed}
            if not self._asked(account):
                account.asking, account.until = (child, child.pid), time.monotonic() + LEASE
                return {"token": None, "renewed": account.renewed}
            if time.monotonic() > until:
                raise Unavailable("another process is asking for one, and has no answer yet")
            await asyncio.sleep(LOOK)

    @staticmethod
    def _asked(account: _Account) -> bool:
        """Whether a process that lives is asking for one now."""
        if account.asking is None or time.monotonic() > account.until:
            return False
        child, pid = account.asking
        return child.pid == pid

    @staticmethod
    def _give(child: Child, account: _Account, token: dict[str, Any] | None) -> None:
        if account.asking == (child, child.pid):
            account.asking = None
        if token is not None:
            account.token = token
            account.renewed = token.get("refresh_token") or account.renewed


def _over(token: dict[str, Any]) -> bool:
    return token["expires_at"] is not None and token["expires_at"] <= time.time()
