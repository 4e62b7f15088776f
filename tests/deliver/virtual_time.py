"""An event loop whose time is a fake clock: it never waits, it moves the clock to the next timer."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from turnout.testing.fake_clock import FakeClock

__all__ = ["Inline", "VirtualLoop"]


class VirtualLoop(asyncio.SelectorEventLoop):
    """Run coroutines in it as in any loop; hours pass in milliseconds."""

    def __init__(self, clock: FakeClock) -> None:
        self._virtual = clock
        super().__init__(_Selector(clock))
        self.set_default_executor(Inline())

    def time(self) -> float:
        """The fake clock's."""
        return self._virtual.monotonic()


class _Selector(selectors.SelectSelector):
    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise RuntimeError("nothing is due and nothing can arrive: the loop would wait for ever")
        self._clock.advance(timeout)
        return []


class Inline(ThreadPoolExecutor):
    """Runs at once what it is given: a thread's work takes no virtual time."""

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__(1)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """A future that is done."""
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except BaseException as error:
            done.set_exception(error)
        return done
