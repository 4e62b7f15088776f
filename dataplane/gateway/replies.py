"""Answers that no SDK misreads.

An error is JSON with a string `code` and `message`: rudder-sdk-python repeats a 4xx whose JSON
lacks either of them. Success is exactly 200: the same SDK repeats a 202 or 204.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from email.utils import formatdate
from http import HTTPStatus

import orjson
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from multidict import CIMultiDict

from turnout.errors import Refused

__all__ = ["NAMED", "Accepted", "Reasons", "Rejected", "accepted", "as_json", "error"]

NAMED = {"Server": "turnout"}
"""On every answer that aiohttp would otherwise sign with its version and Python's."""
JSON = {"Content-Type": "application/json", **NAMED}
Reasons = Mapping[int, tuple[str, str]]


class Rejected(Refused):
    """A request that is answered with an error.

    `status` is the HTTP status; `retry_after` seconds a client should wait, None where waiting
    does not help; `close` says that the rest of the request will not be read.
    """

    def __init__(
        self, status: int, code: str, message: str, *, retry_after: float | None = None, close: bool = False
    ) -> None:
        super().__init__(code, message)
        self.status = status
        self.retry_after = retry_after
        self.close = close


class Accepted(web.StreamResponse):
    """The answer to a request of which every event was taken, written as one block of bytes.

    It is the reply of nearly every request, and building headers one by one costs a quarter of
    an aiohttp request. Only for HTTP/1.1 with keep-alive and no CORS; `accepted` decides.
    """

    _blocks: dict[int, bytes] = {}
    _second = 0

    def __init__(self, count: int, now: int) -> None:
        super().__init__()
        if now != Accepted._second:
            Accepted._second = now
            Accepted._blocks = {}
        block = Accepted._blocks.get(count)
        if block is None:
            block = Accepted._blocks[count] = _block(count, now)
        self._block = block
        self._keep_alive = True

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Write the whole answer; waits only for a client that does not read its answers."""
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client left before it was answered")
        transport.write(self._block)
        if transport.get_write_buffer_size():
            await request.writer.drain()
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to write."""


def _block(count: int, now: int) -> bytes:
    body = _accepted_body(count)
    return (
        "HTTP/1.1 200 OK\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n"
        f"Date: {formatdate(now, usegmt=True)}\r\n"
        "\r\n"
    ).encode() + body


def _accepted_body(count: int) -> bytes:
    return b'{"status":"ok","accepted":%d}' % count


def accepted(count: int, refused: Reasons, cors: Mapping[str, str] | None) -> web.Response:
    """200: how many events were taken, and why the others were not."""
    if not refused:
        return web.Response(body=_accepted_body(count), headers={**JSON, **(cors or {})})
    return as_json({"status": "ok", "accepted": count, "refused": _reasons(refused)}, 200, cors)


def error(reason: Refused, cors: Mapping[str, str] | None, refused: Reasons | None = None) -> web.Response:
    """An error answer; 400 where `reason` names no status of its own."""
    body: dict[str, object] = {"code": reason.code, "message": reason.message}
    if refused:
        body["refused"] = _reasons(refused)
    status = reason.status if isinstance(reason, Rejected) else 400
    reply = as_json(body, status, cors)
    if isinstance(reason, Rejected):
        if reason.retry_after is not None:
            reply.headers["Retry-After"] = str(max(1, math.ceil(reason.retry_after)))
        if status == HTTPStatus.UNAUTHORIZED:
            reply.headers["WWW-Authenticate"] = 'X-Write-Key realm="turnout"'
        if reason.close:
            reply.force_close()
    return reply


def _reasons(refused: Reasons) -> list[dict[str, object]]:
    return [{"index": i, "code": code, "message": message} for i, (code, message) in refused.items()]


def as_json(value: object, status: int, cors: Mapping[str, str] | None = None) -> web.Response:
    """Any JSON answer."""
    headers: CIMultiDict[str] = CIMultiDict(JSON)
    if cors:
        headers.update(cors)
    return web.Response(body=orjson.dumps(value), status=status, headers=headers)
