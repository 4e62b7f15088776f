"""Log lines: an event's dotted name and facts as keys, on stderr; console in a terminal, else JSON.

Success is silent, a counter moves. No line holds a payload, a secret or personal data: an exception
is logged by its type and where it was raised, never by its message, which may quote what it met.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import MutableMapping
from pathlib import PurePath
from typing import Any, TextIO, cast

__all__ = ["Logger", "configure", "logger", "where"]

_HIDDEN = ("authorization", "cookie", "password", "secret", "token", "write_key", "writekey", "api_key")
_lock = threading.Lock()
_context: dict[str, Any] = {}
_state = {"configured": False}


class Logger:
    """Writes lines; structlog is imported with the first one, so that a quiet start stays quick."""

    __slots__ = ("_facts",)

    def __init__(self, **facts: Any) -> None:
        self._facts = facts

    def bind(self, **facts: Any) -> Logger:
        """A logger that adds `facts` to every line."""
        return Logger(**self._facts, **facts)

    def debug(self, event: str, **facts: Any) -> None:
        """A line for developers."""
        self._write("debug", event, facts)

    def info(self, event: str, **facts: Any) -> None:
        """Something an operator may want to know."""
        self._write("info", event, facts)

    def warning(self, event: str, **facts: Any) -> None:
        """Something an operator should look at."""
        self._write("warning", event, facts)

    def error(self, event: str, **facts: Any) -> None:
        """Something that is broken now."""
        self._write("error", event, facts)

    def critical(self, event: str, **facts: Any) -> None:
        """The process is about to end."""
        self._write("critical", event, facts)

    def failure(self, event: str, error: BaseException, **facts: Any) -> None:
        """An unexpected exception: its type and the places it passed, never its message."""
        self._write("error", event, {**facts, "error": type(error).__name__, "at": where(error)})

    def _write(self, level: str, event: str, facts: dict[str, Any]) -> None:
        _configure_structlog()
        import structlog

        getattr(structlog.get_logger(), level)(event, **self._facts, **facts)


def logger(**facts: Any) -> Logger:
    """A logger whose lines carry `facts`."""
    return Logger(**facts)


def where(error: BaseException) -> list[str]:
    """`file:line function` of each frame the exception passed, outermost first, the last ten."""
    frames = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        path = PurePath(code.co_filename)
        frames.append(f"{'/'.join(path.parts[-3:])}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return frames[-10:]


def configure(**facts: Any) -> None:
    """Set logging up for this process; `facts` are added to every line.

    structlog itself (200 ms, it imports rich) is set up with the first line, or now where a module has
    imported it already.
    """
    _context.update(facts)
    logging.basicConfig(handlers=[_Library()], level=logging.WARNING, force=True)
    if "structlog" in sys.modules:
        _configure_structlog()


class _Lines:
    """Lines to a file. One that cannot be written (disk full, pipe closed) is counted, and is no error of the one
    who said it: losing a line must not lose an event. The next one tells how many were lost."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.lost = 0

    def write(self, line: str) -> None:
        """Write it now, or count it."""
        try:
            self._file.write(line)
            self._file.flush()
            self.lost = 0
        except OSError:
            self.lost += 1

    def flush(self) -> None:
        """Every line is flushed by itself."""

    def tell(self, _: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Add how many lines were lost before this one."""
        if self.lost:
            line["lines_lost"] = self.lost
        return line


def _configure_structlog() -> None:
    with _lock:
        if _state["configured"]:
            return
        import structlog

        lines = _Lines(sys.stderr)
        terminal = sys.stderr.isatty()
        renderer: Any = structlog.processors.JSONRenderer()
        if terminal:
            renderer = structlog.dev.ConsoleRenderer(colors=_colors())
        structlog.configure(
            processors=[
                structlog.contextvars.merge_contextvars,
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                _complete,
                lines.tell,
                renderer,
            ],
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
            logger_factory=structlog.WriteLoggerFactory(file=cast(TextIO, lines)),
            cache_logger_on_first_use=True,
        )
        _state["configured"] = True


def _colors() -> bool:
    import os

    return not os.environ.get("NO_COLOR")


def _complete(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add what every line of this process carries, and hide what looks like a secret."""
    for key, value in _context.items():
        line.setdefault(key, value)
    error = line.pop("exc_info", None)
    if isinstance(error, BaseException):
        line["error"] = type(error).__name__  # never its message, which may quote what it met
        line["at"] = where(error)
    for key in line:
        if any(part in key.lower() for part in _HIDDEN):
            line[key] = "***"
    return line


class _Library(logging.Handler):
    """Lines of libraries (aiohttp, asyncio): their fixed text and exception type, never their values."""

    def emit(self, record: logging.LogRecord) -> None:
        facts: dict[str, Any] = {"library": record.name, "text": str(record.msg)[:200]}
        if record.exc_info and record.exc_info[1] is not None:
            facts["error"] = type(record.exc_info[1]).__name__
            facts["at"] = where(record.exc_info[1])
        level = "error" if record.levelno >= logging.ERROR else "warning"
        Logger()._write(level, "library.said", facts)
