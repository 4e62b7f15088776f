"""What a dead letter keeps of the request and of its answer: enough to see why, no secret, and never a whole batch."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from turnout import codec
from turnout.errors import Refused
from turnout.preview import describe, mask
from turnout.request import Request, Response

__all__ = ["Evidence"]

ANSWER_BYTES = 2_048
CUT = 8_192
"""Bytes shown of a body that carried other events, too, and does not say which part is whose."""
SHOWN_HEADERS = frozenset({"content-type", "retry-after", "x-request-id", "date", "server"})


class Evidence:
    """Plain JSON of requests and answers. It remembers the last request, which may have carried a thousand events."""

    def __init__(self) -> None:
        self._last: tuple[Request, Collection[str], dict[str, Any], int] | None = None

    def request(self, request: Request | None, secrets: Collection[str], own: int) -> dict[str, Any] | None:
        """The request as kept of an event of `own` bytes; `carried` says how many were in it, where there were others.

        Whatever an event holds (a huge integer) can be stored.
        """
        if request is None:
            return None
        shown, size = self._described(request, secrets)
        carried = len(set(request.events))
        if carried < 2:
            return shown
        shown = {**shown, "events": [], "carried": carried}
        if size > CUT + 2 * own:
            text = codec.dumps(shown["body"])
            shown["body"] = {"cut": text[:CUT].decode("utf-8", "ignore"), "bytes": size}
        return shown

    def _described(self, request: Request, secrets: Collection[str]) -> tuple[dict[str, Any], int]:
        """The request, and bytes of its body."""
        last = self._last
        if last is not None and last[0] is request and last[1] is secrets:
            return last[2], last[3]
        try:
            shown: dict[str, Any] = _storable(codec.loads(codec.dumps(describe(request, secrets))))
            size = len(codec.dumps(shown["body"]))
        except Refused as error:
            shown, size = {"method": request.method, "body": {}, "unshowable": error.message}, 0
        self._last = (request, secrets, shown, size)
        return shown, size

    def answer(self, response: Response | None, secrets: Collection[str]) -> dict[str, Any] | None:
        """The part of an answer that explains a failure; no cookies, no tokens, the body cut."""
        if response is None:
            return None
        headers = {k: v for k, v in response.headers.items() if k.lower() in SHOWN_HEADERS}
        body = response.body[:ANSWER_BYTES].decode("utf-8", "replace")
        told: dict[str, Any] = mask(
            {"status": response.status, "error": response.error, "headers": headers, "body": body}, secrets
        )
        return told


def _storable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _storable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return str(value)
    return value
