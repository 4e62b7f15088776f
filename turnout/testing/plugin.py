"""The pytest plug-in: the fixtures `recorder`, `chaos` and `fake_clock`.

Every test run loads this module, so what it offers is imported on first use.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from turnout.testing.chaos import Chaos
    from turnout.testing.fake_clock import FakeClock
    from turnout.testing.recorder import Recorder

__all__ = ["chaos", "fake_clock", "recorder"]

pytest.register_assert_rewrite("turnout.testing.suite")


@pytest.fixture
def fake_clock() -> FakeClock:
    """A clock that stands still until it is told to move."""
    from turnout.testing.fake_clock import FakeClock

    return FakeClock()


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    """A real HTTP server on a free local port that records requests and answers as told."""
    from turnout.testing.recorder import Recorder

    with Recorder() as running:
        yield running


@pytest.fixture
def chaos() -> Iterator[Chaos]:
    """A server on a free local port that misbehaves as told: hangs, resets, trickles, lies."""
    from turnout.testing.chaos import Chaos

    with Chaos() as running:
        yield running
