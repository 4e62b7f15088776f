"""What a person reads when a command fails."""

from __future__ import annotations

from turnout.errors import TurnoutError

__all__ = ["sentence"]


def sentence(error: Exception) -> str:
    """One sentence, or the lines of a ConfigError; a bug of ours says so."""
    if isinstance(error, TurnoutError):
        return str(error)
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}"
    return f"internal error: {type(error).__name__}: {error} (turnout --debug shows where)"
