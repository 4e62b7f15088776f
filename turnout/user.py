"""A user as a tool is to forget him."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from turnout.errors import Refused

__all__ = ["User"]

LONGEST = 1_000
_SPELLINGS = {"userId": "user_id", "email": "email", "anonymousId": "anonymous_id"}


@dataclass(frozen=True, slots=True)
class User:
    """What is known of a user, "" where it is not; nothing of it is in `repr`.

    `traits` is for tools that find a user by something else (a phone number, an id of their own).
    """

    user_id: str = field(default="", repr=False)
    email: str = field(default="", repr=False)
    anonymous_id: str = field(default="", repr=False)
    traits: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)

    @classmethod
    def read(cls, row: Any) -> User:
        """From JSON as SDKs spell it: `{"userId", "email", "anonymousId", "traits"}`, at least one of the first
        three. Raises `Refused`, which names keys and no values."""
        if not isinstance(row, Mapping):
            raise Refused("user", "a user is a JSON object")
        if unknown := [key for key in row if key not in _SPELLINGS and key != "traits"]:
            known = ", ".join([*_SPELLINGS, "traits"])
            raise Refused("user", f"a user has {len(unknown)} keys that are not known (there are: {known})")
        found: dict[str, Any] = {}
        for key, name in _SPELLINGS.items():
            value = row.get(key, "")
            if not isinstance(value, str) or len(value) > LONGEST:
                raise Refused("user", f"{key} is text of at most {LONGEST:,} characters")
            found[name] = value.strip()
        if not any(found.values()):
            raise Refused("user", f"a user needs one of {', '.join(_SPELLINGS)}")
        traits = row.get("traits", {})
        if not isinstance(traits, Mapping):
            raise Refused("user", "traits is an object")
        return cls(**found, traits=traits)
