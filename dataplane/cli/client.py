"""Speaks to the running app over its admin socket."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from turnout import codec
from turnout.errors import Fixable, Refused, Unavailable

__all__ = ["Client", "find_socket", "segment"]

TIMEOUT = 90.0
"""Seconds; a reload compiles every script."""
LONGEST = 8_000
"""Characters of an address that the admin API takes, a little below aiohttp's own bound."""


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Client:
    """Asks the admin API; raises what it answers as an error of the house's tree.

    An answer is waited for `timeout` seconds.
    """

    def __init__(self, path: Path, timeout: float = TIMEOUT) -> None:
        self._path = path
        self._timeout = timeout

    def get(self, path: str, **query: Any) -> Any:
        """GET a route under /api/v1; empty parameters are left out."""
        return self._ask("GET", path, None, query)

    def post(self, path: str, body: bytes = b"{}", **query: Any) -> Any:
        """POST a JSON body to a route under /api/v1."""
        return self._ask("POST", path, body, query)

    def stream(self, path: str, **query: Any) -> Iterator[Any]:
        """Values of a route that answers line by line; raises `Unavailable` when the other side ends."""
        with self._connection() as connection:
            connection.request("GET", _target(path, query))
            response = connection.getresponse()
            if response.status != 200:
                raise _error(response.status, self._read(response.read(), response.status))
            while line := response.readline():
                if line.strip():
                    yield self._read(line, response.status)
        raise Unavailable(f"turnout at {self._path} ended")

    def _ask(self, method: str, path: str, body: bytes | None, query: dict[str, Any]) -> Any:
        with self._connection() as connection:
            headers = {"Content-Type": "application/json"} if body else {}
            connection.request(method, _target(path, query), body, headers)
            response = connection.getresponse()
            status, answer = response.status, response.read()
        found = self._read(answer, status)
        if status == 503 and "code" not in found:
            return found  # health that is red is an answer
        if status != 200:
            raise _error(status, found)
        return found

    def _read(self, answer: bytes, status: int) -> Any:
        """An answer as JSON; raises `Unavailable` for one that broke off, or that is another's."""
        try:
            return codec.loads(answer)
        except Refused:
            said = f"HTTP {status}, " if status != 200 else ""
            raise Unavailable(f"turnout at {self._path} gave no whole answer ({said}{len(answer):,} bytes)") from None

    @contextmanager
    def _connection(self) -> Iterator[_Connection]:
        """A connection that is closed in the end; what goes wrong on it is said for people."""
        connection = _Connection(self._path, self._timeout)
        try:
            yield connection
        except (FileNotFoundError, ConnectionRefusedError):
            raise Unavailable(f"no running turnout at {self._path} (start it with `turnout run`)") from None
        except PermissionError:
            raise Fixable(f"{self._path}: not permitted; run this as the user who runs turnout") from None
        except TimeoutError:
            raise Unavailable(f"turnout at {self._path} did not answer within {self._timeout:g} s") from None
        except (http.client.HTTPException, ConnectionError) as error:
            raise Unavailable(f"turnout at {self._path} hung up ({type(error).__name__})") from None
        except OSError as error:  # a path that leads nowhere, or is too long for a socket
            raise Fixable(f"{self._path}: {error.strerror or error}") from None
        finally:
            connection.close()


def _target(path: str, query: dict[str, Any]) -> str:
    given = {name: value for name, value in query.items() if value not in ("", None)}
    try:
        target = f"/api/v1{quote(path, safe='/%')}" + (f"?{urlencode(given)}" if given else "")
    except UnicodeEncodeError as error:
        raise _not_text(error) from None
    if len(target) > LONGEST:
        raise Fixable(f"what is asked for has {len(target):,} characters, and an address at most {LONGEST:,}")
    return target


def segment(text: str) -> str:
    """Any text as one part of a route."""
    try:
        return quote(text, safe="")
    except UnicodeEncodeError as error:
        raise _not_text(error) from None


def _not_text(error: UnicodeEncodeError) -> Fixable:
    return Fixable(f"{error.object[:40]!a} is not UTF-8")


def _error(status: int, found: Any) -> Exception:
    code = str(found.get("code")) if isinstance(found, dict) else ""
    message = str(found.get("message")) if isinstance(found, dict) else f"HTTP {status}"
    if code == "unavailable":
        return Unavailable(message)
    return Fixable(message) if code in ("fixable", "") else Refused(code, message)


def find_socket(config: Path, given: Path | None, *, broken: bool = True) -> Path:
    """The admin socket: the given one, else the one the configuration names, which needs no secrets.

    Where that file is `broken` as it is now, what runs is asked all the same, if it is where it is by default.
    """
    if given is not None:
        return given
    from dataplane.cli.output import warn
    from dataplane.config import InvalidConfig, connection

    try:
        return connection(config).admin.socket
    except InvalidConfig as error:
        usual = config.parent / "data" / "admin.sock"
        if not (broken and config.exists() and usual.is_socket()):
            raise
        warn(f"{str(error).splitlines()[0]} (so {usual} is asked)")
        return usual
