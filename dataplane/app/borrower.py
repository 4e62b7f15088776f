"""Access tokens as a pipeline process that is one of several has them: from the app, which keeps them (tokens.py)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from dataplane.app.place import Ask
from turnout.auth import Token

__all__ = ["Borrower"]


class Borrower:
    """A pipeline process's end: a `Lender` over its channel."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def take(self, account: str, stale: str) -> tuple[Token | None, str | None]:
        """See `Lender.take`."""
        found = await self._ask("token.take", {"account": account, "stale": stale})
        return _token(found["token"]), found["renewed"]

    async def give(self, account: str, token: Token | None) -> None:
        """See `Lender.give`."""
        plain = None if token is None else {
            "value": token.value, "refresh_token": token.refresh_token, "base": token.base,
            "expires_at": None if token.expires_at is None else token.expires_at.timestamp(),
        }  # fmt: skip
        await self._ask("token.give", {"account": account, "token": plain})


def _token(plain: dict[str, Any] | None) -> Token | None:
    if plain is None:
        return None
    ends = plain["expires_at"]
    moment = None if ends is None else datetime.fromtimestamp(ends, UTC)
    return Token(plain["value"], moment, plain["refresh_token"], plain["base"])
