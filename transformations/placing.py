"""Which input an output of a whole batch belongs to: by its messageId."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

__all__ = ["Placing", "identity"]


def identity(value: object) -> Hashable:
    """A messageId as something to look up, whatever a script made of it."""
    return value if type(value) in (str, int, float) else None if value is None else repr(value)


class Placing:
    """The nth output with a messageId belongs to the nth input that had it, more to the last; one with
    an unknown messageId to the first input."""

    def __init__(self, identities: Sequence[object]) -> None:
        self._waiting: dict[Hashable, list[int]] = {}
        for place in range(len(identities) - 1, -1, -1):
            self._waiting.setdefault(identity(identities[place]), []).append(place)
        self._last: dict[Hashable, int] = {}

    def knows(self, messageId: object) -> bool:  # noqa: N803 - the field's name
        """Whether an input had this messageId."""
        return identity(messageId) in self._waiting

    def __call__(self, messageId: object) -> int:  # noqa: N803 - the field's name
        """The place of the next output with this messageId."""
        key = identity(messageId)
        if self._waiting.get(key):
            self._last[key] = self._waiting[key].pop()
        return self._last.get(key, 0)
