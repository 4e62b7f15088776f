"""The soft deadline of a batch: an alarm that a script cannot catch."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Expired", "arm", "disarm", "install", "overdue", "stopped"]

AGAIN = 0.1
"""Seconds after which the alarm rings again, for a script whose `finally` swallowed it."""


class Expired(BaseException):
    """The time is up; not an Exception, so that no script can catch it."""


class _State:
    armed = False
    rung = False


def install() -> None:
    """Take the alarm signal; once per worker."""
    signal.signal(signal.SIGALRM, _ring)


def arm(seconds: float) -> None:
    """`Expired` is raised in the main thread after so many seconds."""
    _State.armed, _State.rung = True, False
    signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)


def disarm() -> None:
    """No more alarms; may be called any number of times."""
    _State.armed = False
    signal.setitimer(signal.ITIMER_REAL, 0)


@contextmanager
def stopped() -> Iterator[None]:
    """The time stands still while the script waits for the parent."""
    left, _ = signal.setitimer(signal.ITIMER_REAL, 0)
    armed, _State.armed = _State.armed, False
    try:
        yield
    finally:
        _State.armed = armed
        if armed:
            signal.setitimer(signal.ITIMER_REAL, max(left, 0.001), AGAIN)


def overdue() -> bool:
    """Whether it has rung since it was armed: a script may have hidden that behind another error."""
    return _State.rung


def _ring(*_: object) -> None:
    if _State.armed:
        _State.rung = True
        raise Expired
