"""The channel between the app and a role: questions and answers, one JSON object a line.

`{"id", "verb", "args"}` is answered by `{"id", "ok"}` or `{"id", "error": {"type", "message"}}`,
in any order; a `ping` is answered by the channel itself. Errors of the house's tree arrive as what
they were; anything else arrives as `Unavailable` with only its type, because its message may quote
what it met.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

from dataplane.metrics.log import logger
from turnout import codec, errors
from turnout.errors import Refused, ScriptError, TurnoutError, Unavailable

__all__ = ["Answer", "Channel"]

LINE = 64 << 20
"""Longest line, in bytes: a page of dead letters with their payloads fits."""

_PING, _PONG = b'{"id":0,"verb":"ping"}\n', b'{"id":0,"ok":null}\n'
"""Nobody waits for this answer by its number: that anything came is what it says."""

Answer = Callable[[str, dict[str, Any]], Awaitable[Any]]
"""What answers the other side's questions: verb and arguments to plain JSON."""

_log = logger()


async def _deaf(verb: str, args: dict[str, Any]) -> Any:
    raise Unavailable(f"this side answers no questions ({verb})")


class Channel:
    """One end of the channel; both ends are the same and may ask."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Answer = _deaf
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._answer = answer
        self._ids = count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = True
        self._heard = 0.0

    @classmethod
    async def over(cls, sock: socket.socket, answer: Answer = _deaf) -> Channel:
        """A channel over one end of a socket pair."""
        reader, writer = await asyncio.open_unix_connection(sock=sock, limit=LINE)
        return cls(reader, writer, answer)

    async def ask(
        self, verb: str, args: dict[str, Any] | None = None, *, timeout: float = 30.0, silence: float | None = None
    ) -> Any:
        """Ask the other side; raises its error, or `Unavailable` when it is gone or takes too long.

        With `silence`, also once nothing at all was heard of it for so many seconds: one that is busy answers pings.
        """
        if not self._open:
            raise Unavailable("the process is gone")
        number = next(self._ids)
        line = _line({"id": number, "verb": verb, "args": args or {}})
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            async with asyncio.timeout(timeout):
                if silence is None:
                    await self._send(line)
                    return await future
                self._writer.write(line)  # who is silent does not read either
                return await self._while_heard(future, silence)
        except TimeoutError:
            raise Unavailable(f"no answer to {verb} within {timeout:g} s") from None
        except OSError:
            raise Unavailable("the process is gone") from None
        finally:
            self._waiting.pop(number, None)

    async def _while_heard(self, future: asyncio.Future[Any], silence: float) -> Any:
        now = asyncio.get_running_loop().time
        asked = now()
        while (left := max(asked, self._heard) + silence - now()) > 0:
            if (await asyncio.wait([future], timeout=min(left, silence / 4)))[0]:
                return future.result()
            self._writer.write(_PING)
        raise Unavailable(
            f"nothing was heard of it for {silence:g} s; where it stays so, end it with kill -9: "
            "it is started again and goes on where it was"
        )

    async def serve(self) -> None:
        """Read until the other side is gone; every question is answered in its own task."""
        try:
            while line := await self._reader.readline():
                self._heard = asyncio.get_running_loop().time()
                self._take(codec.loads(line))
        except (OSError, Refused, ValueError) as error:
            _log.failure("control.broken", error)
        finally:
            self._open = False
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(Unavailable("the process is gone"))
            for task in self._tasks:
                task.cancel()
            self._writer.close()

    def close(self) -> None:
        """Close this end; the other side reads the end of the stream."""
        self._open = False
        self._writer.close()

    def _take(self, message: dict[str, Any]) -> None:
        if message.get("verb") == "ping":
            self._writer.write(_PONG)
            return
        if "verb" in message:
            task = asyncio.create_task(self._reply(message))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return
        future = self._waiting.get(message["id"])
        if future is None or future.done():
            return  # nobody waits for it any more
        if "error" in message:
            future.set_exception(_restore(message["error"]))
        else:
            future.set_result(message.get("ok"))

    async def _reply(self, message: dict[str, Any]) -> None:
        number, verb = message["id"], message["verb"]
        try:
            line = _line({"id": number, "ok": await self._answer(verb, message.get("args") or {})})
        except TurnoutError as error:
            line = _line({"id": number, "error": _describe(error)})
        except Exception as error:  # noqa: BLE001 - the asker must get an answer, whatever happened
            _log.failure("control.failed", error, verb=verb)
            said = {"type": "Unavailable", "message": f"{type(error).__name__} (see the log)"}
            line = _line({"id": number, "error": said})
        try:
            await self._send(line)
        except OSError:
            self._open = False  # the asker is gone; serve() ends by itself

    async def _send(self, line: bytes) -> None:
        self._writer.write(line)
        await self._writer.drain()


def _line(message: dict[str, Any]) -> bytes:
    """A message as it travels; raises `Unavailable` where it is longer than the other side reads, which would
    end the channel and the role with it."""
    line = codec.dumps(message) + b"\n"
    if len(line) > LINE:
        raise Unavailable(f"that takes {len(line):,} bytes and the channel {LINE:,}: ask for less at once")
    return line


def _describe(error: TurnoutError) -> dict[str, Any]:
    described: dict[str, Any] = {"type": type(error).__name__, "message": str(error)}
    if isinstance(error, Refused):
        described["code"] = error.code
    if isinstance(error, ScriptError):
        described |= {"message": error.message, "file": error.file, "line": error.line}
    return described


def _restore(described: dict[str, Any]) -> TurnoutError:
    name, message = str(described.get("type")), str(described.get("message"))
    if name == "Refused":
        return Refused(str(described.get("code")), message)
    if name == "ScriptError":
        return ScriptError(message, file=str(described.get("file")), line=int(described.get("line") or 0))
    kind = getattr(errors, name, None) if name in errors.__all__ else None
    return kind(message) if kind is not None else Unavailable(f"{name}: {message}")
