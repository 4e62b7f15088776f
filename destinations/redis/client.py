"""Writes traits: a batch is one pipeline, its answers one verdict each."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from destinations.redis.settings import RedisSettings
from turnout import Delivery, Record, Verdict, codec, dead, delivered, pause, retry
from turnout.errors import Fixable
from turnout.extras import need

__all__ = ["Client"]

CONNECT = 5.0
"""Seconds to connect, or `delivery.timeout` where that is less."""

_LATER = ("BUSY", "MISCONF", "NOREPLICAS")
"""Codes of errors that are about the server, not about the record, and that the library has no class for.
Source: https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors."""


class Client:
    """Connects at the first write. `write` may be called several times at once."""

    def __init__(self, settings: RedisSettings, base: Path, delivery: Delivery) -> None:
        need("destination redis", "redis", "redis")
        self._settings = settings
        self._options = _options(settings, delivery.timeout.total_seconds())
        self.hosts = [host for host, _ in settings.nodes()]
        self._redis: Any = None

    async def write(self, records: Sequence[Record]) -> Sequence[Verdict]:
        """One pipeline in the order of the records; without an answer all are to be retried."""
        from redis.exceptions import RedisClusterException, RedisError

        if self._redis is None:
            self._redis = self._connection()
        pipeline = self._redis.pipeline(transaction=False)
        counts = [self._command(pipeline, record) for record in records]
        try:
            answers = await pipeline.execute(raise_on_error=False)
        except (RedisError, RedisClusterException, OSError) as error:
            return [_judge(error)] * len(records)
        found: list[Verdict] = []
        at = 0
        for count in counts:
            found.append(_told(answers[at : at + count]))
            at += count
        return found

    async def close(self) -> None:
        """Close the connections."""
        if self._redis is not None:
            await self._redis.aclose()
            self._redis = None

    def _connection(self) -> Any:
        from redis.asyncio import Redis, RedisCluster
        from redis.asyncio.cluster import ClusterNode
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        # Once more at once, for a connection that the server closed meanwhile; the engine does the rest.
        options = {**self._options, "retry": Retry(NoBackoff(), 1)}
        nodes = self._settings.nodes()
        if self._settings.cluster_mode:
            return RedisCluster(startup_nodes=[ClusterNode(host, port) for host, port in nodes], **options)
        host, port = nodes[0]
        return Redis(host=host, port=port, db=int(self._settings.database), **options)

    def _command(self, pipeline: Any, record: Record) -> int:
        """Queue what writes a record; gives how many answers there will be."""
        if not self._settings.use_json_module:
            fields: Mapping[str, str] = codec.loads(record.body)
            pipeline.hset(record.target, mapping=fields)
            return 1
        if record.key is None:
            pipeline.execute_command("JSON.SET", record.target, "$", record.body)
            return 1
        member = "$[" + codec.dumps(record.key.decode()).decode() + "]"
        pipeline.execute_command("JSON.SET", record.target, "$", "{}", "NX")  # a member needs a document around it
        pipeline.execute_command("JSON.SET", record.target, member, record.body)
        return 2


def _options(settings: RedisSettings, timeout: float) -> dict[str, Any]:
    """Options of a connection; raises `Fixable` where settings do not fit together."""
    if not settings.database.isascii() or not settings.database.isdigit():
        raise Fixable("database must be a number")
    if settings.cluster_mode and int(settings.database):
        raise Fixable("a cluster has only the database 0: leave database out")
    if not settings.cluster_mode and len(settings.nodes()) > 1:
        raise Fixable("several addresses are those of a cluster: set cluster_mode")
    options: dict[str, Any] = {
        "username": settings.username or None,
        "password": settings.password.get_secret_value() if settings.password else None,
        "socket_connect_timeout": min(CONNECT, timeout),
        "socket_timeout": timeout,
    }
    if settings.secure:
        options |= {"ssl": True, "ssl_cert_reqs": "none" if settings.skip_verify else "required"}
        options["ssl_check_hostname"] = not settings.skip_verify
        if settings.ca_certificate:
            options["ssl_ca_data"] = _certificates(settings.ca_certificate)
    return options


def _certificates(text: str) -> str:
    # In JSON and in an environment variable the line breaks of a PEM file are often written as \n.
    pem = text.replace("\\n", "\n")
    try:
        ssl.create_default_context(cadata=pem)
    except (ssl.SSLError, ValueError) as error:
        raise Fixable("ca_certificate holds no certificates in PEM form") from error
    return pem


def _told(answers: Sequence[Any]) -> Verdict:
    """The verdict of a record from the answers to its commands."""
    error = next((one for one in answers if isinstance(one, Exception)), None)
    return delivered() if error is None else _judge(error)


def _judge(error: Exception) -> Verdict:
    """What an error means; of its text, which may quote the record, only the code is told."""
    from redis import exceptions as known

    word = str(error).partition(" ")[0]
    code = word if word.isalpha() and word.isupper() else type(error).__name__
    if isinstance(error, known.AuthenticationError | known.AuthorizationError) or code == "NOAUTH":
        return pause("redis: the server refuses these credentials")
    if isinstance(error, known.NoPermissionError):
        return pause("redis: the user may not write these keys (NOPERM)")
    if "unknown command" in str(error).lower():
        return pause("redis: the server has no JSON commands; it needs Redis 8 or the module RedisJSON")
    if isinstance(error, known.TimeoutError):
        return retry("redis: no answer in time")
    if isinstance(error, known.ConnectionError | OSError):
        return retry(f"redis: no connection ({type(error).__name__})")
    passing = (known.OutOfMemoryError, known.ReadOnlyError, known.ClusterError, known.AskError, known.TryAgainError)
    if not isinstance(error, known.ResponseError) or isinstance(error, passing) or code in _LATER:
        return retry(f"redis: the server does not write now ({code})")
    if code == "WRONGTYPE" or "wrong Redis type" in str(error):
        return dead("redis: the key holds something of another type (WRONGTYPE)")
    return dead(f"redis: the server refuses the record ({code})")
