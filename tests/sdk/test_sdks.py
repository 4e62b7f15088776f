"""Unmodified SDKs send through a running data plane; every event arrives once, with its fields."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bench.plane import Plane
from bench.sink import Sink
from turnout import paths

pytestmark = pytest.mark.sdk
HERE = Path(__file__).parent
MISSING = object()

CONFIG = """\
server: {{host: 127.0.0.1, port: 0}}
admin: {{host: 127.0.0.1, port: 0}}
data: ./data
egress: {{allow_private: true}}
sources:
  hotel: {{write_key: wk_hotel}}
destinations:
  hook:
    type: webhook
    settings: {{webhook_url: "{url}/hook"}}
"""

COMMON: list[tuple[str, dict[str, Any]]] = [
    ("identify", {"userId": "guest-7", "anonymousId": "device-7"}),
    ("track", {
        "userId": "guest-7", "event": "Room Booked", "properties.room": 512, "properties.nights": 3,
        "properties.price": 417.6, "properties.extras": ["vélo", "朝食"],
    }),
    ("page", {"userId": "guest-7", "name": "Sea View", "properties.path": "/rooms/sea-view"}),
    ("screen", {"userId": "guest-7", "name": "Door Key", "properties.floor": 5}),
    ("group", {"userId": "guest-7", "groupId": "family-3", "traits.size": 4}),
    ("alias", {"userId": "guest-7", "previousId": "device-7"}),
    ("track", {"anonymousId": "device-8", "event": "Lobby Entered"}),
]
"""Kind and fields of every event that the drivers send, in sending order."""


@dataclass(frozen=True)
class Sdk:
    """How one SDK is started, what it calls itself, and where it puts the traits of identify."""

    name: str
    command: tuple[str, ...]
    library: str
    traits: tuple[str, ...]
    ordered: bool = True  # one connection at a time; the Node SDKs send several requests at once

    def run(self, url: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.command, url, "wk_hotel"], capture_output=True, text=True, timeout=60, check=False
        )


def python(name: str) -> tuple[str, ...]:
    return (sys.executable, str(HERE / "drivers" / f"{name}.py"))


def node(name: str) -> tuple[str, ...]:
    return (shutil.which("node") or "node", str(HERE / "node" / f"{name}.cjs"))


PYTHON = [
    Sdk("rudder-sdk-python", python("rudder_python"), "analytics-python", ("context.traits",)),
    Sdk("segment-analytics-python", python("segment_python"), "analytics-python", ("traits",)),
]
NODE = [
    Sdk("@rudderstack/rudder-sdk-node", node("rudder_node"), "analytics-node",
        ("context.traits", "traits"), ordered=False),
    Sdk("@segment/analytics-node", node("segment_node"), "@segment/analytics-node",
        ("traits",), ordered=False),
]
wants_node = pytest.mark.skipif(
    "TURNOUT_NODE_SDKS" not in os.environ, reason="Node SDKs are installed and driven by `make sdk`"
)
ALL = [*(pytest.param(sdk, id=sdk.name) for sdk in PYTHON),
       *(pytest.param(sdk, id=sdk.name, marks=wants_node) for sdk in NODE)]


def matches(event: dict[str, Any], kind: str, fields: dict[str, Any]) -> bool:
    return event.get("type") == kind and all(
        paths.get(event, path, MISSING) == value for path, value in fields.items()
    )


@pytest.mark.parametrize("sdk", ALL)
def test_every_event_of_an_sdk_arrives_once(sdk: Sdk, data_plane: Callable[[str], Plane], sink: Sink) -> None:
    plane = data_plane(CONFIG.format(url=sink.url))

    ran = sdk.run(plane.url)
    assert ran.returncode == 0, ran.stderr
    assert sink.wait(lambda s: len(s.events) >= len(COMMON)), [e.get("type") for e in sink.events]
    assert plane.stop() == 0  # drained: what would come twice has come

    events = sink.events
    assert Counter(e["type"] for e in events) == Counter(kind for kind, _ in COMMON)
    assert len({e["messageId"] for e in events}) == len(COMMON)
    for kind, fields in COMMON:
        assert [e for e in events if matches(e, kind, fields)], (kind, fields, events)
    identify = next(e for e in events if e["type"] == "identify")
    for path in sdk.traits:
        assert paths.get(identify, path) == {"email": "kenji@hotel.example", "tier": "gold"}
    for event in events:
        assert event["context"]["library"]["name"] == sdk.library
        assert event["request_ip"] == "127.0.0.1"
        assert event["receivedAt"].endswith("Z")
    if sdk.ordered:
        # The order key is anonymousId, else userId: these five share the key guest-7.
        mine = [e["type"] for e in events if e.get("userId") == "guest-7" and not e.get("anonymousId")]
        assert mine == ["track", "page", "screen", "group", "alias"]


@pytest.mark.parametrize("sdk", [pytest.param(sdk, id=sdk.name) for sdk in PYTHON])
def test_a_wrong_write_key_is_an_error_the_sdk_reports_at_once(
    sdk: Sdk, data_plane: Callable[[str], Plane], sink: Sink
) -> None:
    """401 is an answer that no SDK retries; a 5xx here would keep every SDK busy for minutes."""
    plane = data_plane(CONFIG.format(url=sink.url).replace("wk_hotel", "wk_other"))

    ran = sdk.run(plane.url)

    assert ran.returncode == 1
    assert "401" in ran.stderr or "Unauthorized" in ran.stderr or "not delivered" in ran.stderr
    assert plane.stop() == 0
    assert sink.events == []
