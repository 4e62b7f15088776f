"""What an alert channel is sent, and what its answer means."""

from __future__ import annotations

import socket
from typing import Any

from dataplane.config.model import AlertChannel
from dataplane.inspect.alerts import Alert
from turnout import __version__
from turnout.clock import from_millis, iso
from turnout.request import Json, Request, Response

__all__ = ["SAID", "moment", "refused", "request", "went"]

SAID = 300
"""Characters of an answer that are shown to whoever tests a channel."""
_MARKS = {"firing": ":red_circle:", "resolved": ":large_green_circle:", "test": ":wave:"}
_WORDS = {"firing": "ALERT", "resolved": "over", "test": "test"}


def request(channel: AlertChannel, alert: Alert) -> Request:
    """The request that tells a channel of an alert."""
    body = _slack(alert) if channel.type == "slack" else _webhook(alert)
    headers = {name: value.get_secret_value() for name, value in channel.headers.items()}
    return Request("POST", channel.url.get_secret_value(), headers=headers, body=Json(body))


def went(answer: Response) -> bool:
    """Whether the channel took it."""
    return 200 <= answer.status < 300 and not answer.error


def refused(answer: Response) -> bool:
    """Whether sending it again cannot help: an address that is not allowed, a request that is refused."""
    return answer.permanent or (400 <= answer.status < 500 and answer.status not in (408, 425, 429))


def _webhook(alert: Alert) -> dict[str, Any]:
    return {
        "version": 1, "id": alert.id, "kind": alert.kind, "subject": alert.subject, "state": alert.state,
        "summary": alert.summary, "since": moment(alert.since), "at": moment(alert.at),
        "host": socket.gethostname(), "turnout": __version__,
    }


def _slack(alert: Alert) -> dict[str, Any]:
    """An incoming webhook takes `text`; &, < and > are its control characters.

    Source: docs.slack.dev, "Sending messages using incoming webhooks" and "Formatting message text".
    """
    summary = alert.summary.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    head = f"{_MARKS[alert.state]} *{_WORDS[alert.state]}* {alert.kind}"
    return {"text": f"{head}: {summary} (turnout on {socket.gethostname()}, since {moment(alert.since)})"}


def moment(seconds: float) -> str:
    """Unix seconds as RFC 3339."""
    return iso(from_millis(int(seconds * 1000)))
