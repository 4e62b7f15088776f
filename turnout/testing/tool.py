"""A stand-in for a tool that nobody can run: a real HTTP server that refuses what the tool refuses."""

from __future__ import annotations

import http.client
from collections.abc import Hashable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit

from turnout import codec
from turnout.auth import Basic, Bearer, Header, Login, OAuth2, Query, Token, apply, bearer, token_of, token_request
from turnout.destination import Context, Destination
from turnout.event import Event
from turnout.request import Request, Response, packed
from turnout.testing.driving import drive
from turnout.testing.recorder import Received, Recorder, Reply
from turnout.verdict import Verdict

__all__ = ["Tool"]


class Tool(Recorder):
    """Subclasses say in `answered` what the tool says, strictly: credentials, required fields, limits.

        class Crm(Tool):
            def answered(self, asked):
                if asked.headers.get("authorization") != "Bearer k-1":
                    return 401, {"error": "invalid key"}
                return 202, {"id": asked.json()["id"]}

        with Crm() as crm:
            verdicts = crm.deliver(adapter, events, at)

    Requests go over a real connection to this server whatever host they name; that is in
    `Received.headers["host"]`. What was queued by `answer` comes first.
    """

    taken: Sequence[Hashable] = ()
    """Of a tool with jobs: what it took for good, an item for each event."""

    def __init__(self, **chosen: Any) -> None:
        super().__init__(**chosen)
        self._always = self._strict
        self._tokens: dict[OAuth2 | Login, Token] = {}

    def answered(self, asked: Received) -> tuple[int, Any] | tuple[int, Any, Mapping[str, str]]:
        """Status, body (bytes, text, or a value for JSON) and headers for a request."""
        raise NotImplementedError(f"{type(self).__name__} needs answered()")

    def deliver(self, adapter: Destination[Any], events: Sequence[Event], at: Context) -> Sequence[Verdict]:
        """The verdicts of an adapter whose requests this server answers.

        Credentials are added; an access token is asked for at this server, too, and once more after a 401.
        """

        def sent(request: Request) -> Response:
            auth = adapter.auth
            if isinstance(auth, OAuth2 | Login):
                return self._with_token(auth, request, at)
            return self.send(apply(auth, request) if isinstance(auth, Basic | Bearer | Header | Query) else request)

        return drive(adapter, events, at, sent)[0]

    def _with_token(self, auth: OAuth2 | Login, request: Request, at: Context) -> Response:
        response = Response(0, error="no access token")
        for _ in range(2):
            token: Token | Verdict | None = self._tokens.get(auth)
            if token is None:
                answer = self.send(token_request(auth, at.now))
                token = auth.token(answer, at.now) if isinstance(auth, Login) else token_of(answer, at.now, auth.base)
            if isinstance(token, Verdict):
                return Response(0, error=token.reason)
            self._tokens[auth] = token
            response = self.send(bearer(auth, request, token))
            if response.status != 401:
                break
            del self._tokens[auth]
        return response

    def send(self, request: Request) -> Response:
        """What this server answers to a request, over HTTP."""
        url = urlsplit(request.url)
        query = "&".join(part for part in (url.query, urlencode(request.params)) if part)
        body, kind = packed(request)
        target = (url.path or "/") + (f"?{query}" if query else "")
        headers = {"Host": url.netloc, **({"Content-Type": kind} if kind else {}), **request.headers}
        connection = http.client.HTTPConnection(self.host, self.port, timeout=10)
        try:
            connection.request(request.method, target, body or None, headers)
            answer = connection.getresponse()
            return Response(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def _strict(self, asked: Received) -> Reply:
        status, said, *more = self.answered(asked)
        headers: Mapping[str, str] = more[0] if more else {}
        if isinstance(said, str):
            said = said.encode()
        if not isinstance(said, bytes):
            said, headers = codec.dumps(said), {"Content-Type": "application/json", **headers}
        return Reply(status, headers, said)
