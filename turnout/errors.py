"""The one tree of errors. Outcomes of events are values (`Verdict`), never exceptions.

TurnoutError
├── Fixable             a person can mend it: the message says what to change
│   ├── ConfigError     config.yaml, with every diagnostic
│   └── ScriptError     a transformation or library, with file and line
├── Transient           trying again later may help
│   ├── LogFull         no room for more events (the gateway answers 503)
│   ├── Stopped         a transformation that was killed too often, until it is probed
│   └── Unavailable     a role, worker or engine does not answer
└── Permanent           trying again cannot help
    ├── LogClosed       an fsync failed: nothing is acknowledged any more
    ├── FormatError     bytes on disk that are damaged or of a newer version
    ├── Overfull        what scripts make of several events is too much at once: fewer of them may do
    └── Refused         bytes from outside that are not an event; carries a code
"""

from __future__ import annotations

__all__ = [
    "ConfigError",
    "Fixable",
    "FormatError",
    "LogClosed",
    "LogFull",
    "Overfull",
    "Permanent",
    "Refused",
    "ScriptError",
    "Stopped",
    "Transient",
    "TurnoutError",
    "Unavailable",
]


class TurnoutError(Exception):
    """Root of everything Turnout raises on purpose."""


class Fixable(TurnoutError):
    """A person can mend the cause; the message says what to change."""


class ConfigError(Fixable):
    """config.yaml cannot be used; one line per finding, `file:line:column: path: what`."""


class ScriptError(Fixable):
    """A transformation or library does not compile; `file:line` and the message."""

    def __init__(self, message: str, *, file: str = "", line: int = 0) -> None:
        super().__init__(f"{file}:{line}: {message}" if file else message)
        self.message = message
        self.file = file
        self.line = line


class Transient(TurnoutError):
    """Trying again later may help."""


class LogFull(Transient):
    """There is no room to store another event; nothing was written."""


class Stopped(Transient):
    """A transformation was killed too often and does not run.

    `since` in Unix seconds; it is tried with one event in `left` seconds, `after` seconds behind `since`.
    """

    def __init__(
        self, message: str, *, script: str = "", since: float = 0.0, left: float = 0.0, after: float = 0.0
    ) -> None:
        super().__init__(message)
        self.script = script
        self.since = since
        self.left = left
        self.after = after


class Unavailable(Transient):
    """A role, worker or engine does not answer."""


class Permanent(TurnoutError):
    """Trying again cannot help."""


class Overfull(Permanent):
    """A transformation makes more bytes of some events than are held at once: it may be run over fewer of them.

    `most` is how many are, `share` how much of what it was given had room, from 0 to 1.
    """

    def __init__(self, message: str, *, script: str = "", most: int = 0, share: float = 0.0) -> None:
        super().__init__(message)
        self.script = script
        self.most = most
        self.share = share


class LogClosed(Permanent):
    """The log was closed by a failed sync; it takes nothing until a restart."""


class FormatError(Permanent):
    """Bytes on disk are damaged, or of a version this Turnout does not know."""


class Refused(Permanent):
    """Bytes from outside that are not an event.

    `code` is stable and machine-readable (`invalid_json`); `message` is for people and never
    quotes the payload, which may hold personal data.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
