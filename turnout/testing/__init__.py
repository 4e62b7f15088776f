"""What adapters are tested with: a contract suite, a recorder, a server that misbehaves, a clock.

Installed as a pytest plug-in (`turnout.testing.plugin`); production never imports it. Names are
loaded on first use: every test run imports this package.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from turnout.testing.chaos import Chaos
    from turnout.testing.driving import drive, drive_forget, drive_on
    from turnout.testing.fake_clock import FakeClock
    from turnout.testing.fixture import Answer, Fixture, load
    from turnout.testing.recorder import Received, Recorder
    from turnout.testing.suite import DestinationContract
    from turnout.testing.tool import Tool

__all__ = [
    "Answer", "Chaos", "DestinationContract", "FakeClock", "Fixture", "Received", "Recorder", "Tool", "drive",
    "drive_forget", "drive_on", "load",
]

_HOME = {
    "Answer": "fixture", "Chaos": "chaos", "DestinationContract": "suite", "FakeClock": "fake_clock",
    "Fixture": "fixture", "Received": "recorder", "Recorder": "recorder", "drive": "driving",
    "drive_forget": "driving", "drive_on": "driving",
    "Tool": "tool", "load": "fixture",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'turnout.testing' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"turnout.testing.{_HOME[name]}"), name)
    return value
