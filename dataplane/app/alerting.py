"""Watches the status, keeps what stands, and tells the channels; nothing waits for it.

What stands and what is still to be told is in `state/alerts.json`, so that a restart neither repeats
nor loses an alert. A channel that fails is a log line, a metric and a warning in the status.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any

from dataplane.app import channel as channels
from dataplane.app.alert_state import AlertState, read, write
from dataplane.config.model import Config
from dataplane.deliver.http import Sender
from dataplane.deliver.retry import delay
from dataplane.inspect.alerts import Alert, changes
from dataplane.metrics.log import logger
from turnout.clock import from_millis, retry_after
from turnout.errors import Refused, TurnoutError
from turnout.request import Response
from turnout.spelling import unknown

__all__ = ["Alerting"]

EVERY = 5.0
"""Seconds between two looks at the status."""
TIMEOUT = 10.0
WAITING = 100
"""Most alerts that wait for one channel; the oldest are dropped first."""
GIVE_UP = 3600.0
"""Seconds after which an alert that a channel did not take is dropped: it is no news any more."""

_log = logger()


class Alerting:
    """`look` gives the status, `config` the configuration in force."""

    def __init__(self, look: Callable[[], Awaitable[dict[str, Any]]], config: Callable[[], Config]) -> None:
        self._look = look
        self._config = config
        self._seen: Config | None = None
        self._state = AlertState()
        self._path = Path()
        self._unwritten = ""
        self._turn = asyncio.Lock()
        self._writing: asyncio.Future[None] | None = None
        self._failing: dict[str, str] = {}
        self._results: Counter[tuple[str, str]] = Counter()
        self._senders: dict[bool, Sender] = {}
        self._telling: dict[str, asyncio.Task[None]] = {}
        self._watching: asyncio.Task[None] | None = None
        self._rng = Random()  # noqa: S311 -- jitter, no secret

    def start(self, data: Path) -> None:
        """Take up what stood; raises `FormatError` where a newer Turnout wrote it."""
        self._path = data / "state" / "alerts.json"
        self._state = read(self._path)
        self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Stop looking, and store what stands; what was not told yet is told after the next start."""
        tasks = [task for task in (self._watching, *self._telling.values()) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
            if self._writing is not None:  # a thread is not cancelled with who waited for it
                await asyncio.wait([self._writing])
            await self._keep()
        for sender in self._senders.values():
            await sender.close()

    def describe(self) -> dict[str, Any]:
        """{active: what stands and was told, waiting: alerts per channel, failing: reason per channel}."""
        active = [
            {"kind": kind, "subject": subject, "summary": one.summary, "since": channels.moment(one.since)}
            for (kind, subject), one in sorted(self._state.memory.standing.items()) if one.told
        ]
        waiting = {name: len(alerts) for name, alerts in self._state.outbox.items() if alerts}
        return {"active": active, "waiting": waiting, "failing": dict(self._failing)}

    def samples(self) -> list[Any]:
        """Samples for /metrics."""
        active = Counter(kind for (kind, _), one in self._state.memory.standing.items() if one.told)
        return [
            *(["turnout_alerts_active", [kind], n] for kind, n in active.items()),
            *(["turnout_alerts_total", [*labels], n] for labels, n in self._results.items()),
            *(["turnout_alerts_waiting", [name], len(alerts)] for name, alerts in self._state.outbox.items()),
        ]

    async def test(self, only: str = "") -> list[dict[str, Any]]:
        """Send a test alert to every channel, or to one; {channel, ok, status, error, answer} of each.

        Raises `Refused` where there is no such channel.
        """
        configured = self._config().alerts.channels
        if not configured:
            raise Refused("not_found", "there is no alert channel: add one under `alerts.channels`")
        if only and only not in configured:
            raise Refused("not_found", unknown("alert channel", only, configured))
        now = time.time()
        alert = Alert("test", "turnout", "test", "a test alert; nothing is wrong", now, now)
        names = [only] if only else list(configured)
        answers = await asyncio.gather(*(self._send(name, alert) for name in names))
        return [
            {
                "channel": name, "ok": channels.went(answer), "status": answer.status, "error": answer.error,
                "answer": answer.body.decode("utf-8", "replace")[: channels.SAID],
            }
            for name, answer in zip(names, answers, strict=True)
        ]

    # ---- looking

    async def _watch(self) -> None:
        while True:
            try:
                await self._step(await self._look(), time.time())
            except TurnoutError as error:
                _log.warning("alerts.blind", reason=str(error))
            except Exception as error:  # noqa: BLE001 -- a fault here must not end the alerts for good
                _log.failure("alerts.fault", error)
            await asyncio.sleep(EVERY)

    async def _step(self, status: dict[str, Any], now: float) -> None:
        config = self._config()
        if config is not self._seen:
            await self._changed(config)
        before = self._state.memory.standing
        self._state.memory, told = changes(self._state.memory, status, config.alerts, now)
        for alert in told:
            _log.warning(f"alert.{alert.state}", kind=alert.kind, subject=alert.subject, summary=alert.summary)
            for name, channel in config.alerts.channels.items():
                if not channel.only or alert.kind in channel.only:
                    self._put(name, alert)
        if self._state.memory.standing != before or told:
            await self._keep()
        self._tell_all()

    async def _changed(self, config: Config) -> None:
        """Forget channels that are gone, and try again at once: whatever failed may be mended."""
        self._seen = config
        for task in self._telling.values():
            task.cancel()
        self._telling.clear()
        self._failing.clear()
        for name in set(self._state.outbox) - set(config.alerts.channels):
            del self._state.outbox[name]
            await self._keep()

    def _put(self, name: str, alert: Alert) -> None:
        waiting = self._state.outbox.setdefault(name, [])
        waiting.append(alert)
        while len(waiting) > WAITING:
            waiting.pop(0)
            self._results[name, "dropped"] += 1

    async def _keep(self) -> None:
        try:
            async with self._turn:
                work = asyncio.to_thread(write, self._path, self._state.packed())
                self._writing = asyncio.ensure_future(work)
                await asyncio.shield(self._writing)
        except OSError as error:  # disk full is one of the things to tell of: go on without the file
            reason = error.strerror or type(error).__name__
            if reason != self._unwritten:
                _log.error("alerts.not_stored", reason=reason)
            self._unwritten = reason
        else:
            self._unwritten = ""

    # ---- telling

    def _tell_all(self) -> None:
        for name, waiting in self._state.outbox.items():
            running = self._telling.get(name)
            if waiting and (running is None or running.done()):
                self._telling[name] = asyncio.create_task(self._tell(name, waiting))

    async def _tell(self, name: str, waiting: list[Alert]) -> None:
        attempts = 0
        while waiting:
            alert = waiting[0]
            answer = await self._send(name, alert)
            result = self._judge(name, alert, answer)
            if result:
                if waiting and waiting[0] is alert:
                    waiting.pop(0)
                self._results[name, result] += 1
                attempts = 0
                await self._keep()
                continue
            attempts += 1
            after = retry_after(answer.header("Retry-After"), from_millis(int(time.time() * 1000)))
            await asyncio.sleep(delay(attempts, after, self._rng))

    def _judge(self, name: str, alert: Alert, answer: Response) -> str:
        """sent, refused or expired; "" where it is tried again."""
        if channels.went(answer):
            self._failing.pop(name, None)
            return "sent"
        reason = answer.error or f"HTTP {answer.status}"
        if self._failing.get(name) != reason:
            _log.error("alerts.channel_failed", channel=name, reason=reason)
        self._failing[name] = reason
        if channels.refused(answer):
            return "refused"
        return "expired" if time.time() - alert.at > GIVE_UP else ""

    async def _send(self, name: str, alert: Alert) -> Response:
        config = self._config()
        channel = config.alerts.channels.get(name)
        if channel is None:
            return Response(0, error="the channel is gone from the configuration", permanent=True)
        private = config.egress.allow_private
        if private not in self._senders:
            self._senders[private] = Sender(allow_private=private, connections=4)
        return await self._senders[private].send(channels.request(channel, alert), TIMEOUT)
