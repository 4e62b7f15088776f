"""What names a person, hashed as Google wants it.

Source: https://developers.google.com/analytics/devguides/collection/ga4/uid-data.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from turnout.fields import getter
from turnout.lookups import CITY, COUNTRY, EMAIL, FIRST_NAME, LAST_NAME, PHONE, REGION, STATE, STREET, ZIP
from turnout.values import digest, text

__all__ = ["user_data"]

_GOOGLE: Final = ("gmail.com", "googlemail.com")
_NO_DIGITS = re.compile(r"\D")
_MARKS = re.compile(r"[^\w\s]|_")
_MARKS_AND_DIGITS = re.compile(r"[^\w\s]|[\d_]")


def _email(value: str) -> str | None:
    plain = "".join(value.lower().split())
    name, at, host = plain.rpartition("@")
    if not name or not host:
        return None
    return digest(f"{name.replace('.', '') if host in _GOOGLE else name}{at}{host}")


def _phone(value: str) -> str | None:
    digits = _NO_DIGITS.sub("", value)
    return digest(f"+{digits}") if digits else None


def _letters(value: str) -> str:
    return _MARKS_AND_DIGITS.sub("", value.lower()).strip()


def _word(value: str) -> str | None:
    return digest(made) if (made := _letters(value)) else None


def _street(value: str) -> str | None:
    made = _MARKS.sub("", value.lower()).strip()
    return digest(made) if made else None


def _code(value: str) -> str:
    return "".join(value.lower().replace(".", "").replace("~", "").split())


def _country(value: str) -> str | None:
    made = value.strip().upper()
    return made if len(made) == 2 and made.isalpha() else None


Row = tuple[str, tuple[Callable[[Any], Any], ...], Callable[[str], str | None]]


def _row(to: str, paths: tuple[str, ...], via: Callable[[str], str | None]) -> Row:
    return to, tuple(getter(path) for path in paths), via


_DIRECT: Final = (_row("sha256_email_address", EMAIL, _email), _row("sha256_phone_number", PHONE, _phone))
_ADDRESS: Final = (
    _row("sha256_first_name", FIRST_NAME, _word), _row("sha256_last_name", LAST_NAME, _word),
    _row("sha256_street", STREET, _street), _row("city", CITY, _letters), _row("region", (*STATE, *REGION), _letters),
    _row("postal_code", ZIP, _code), _row("country", COUNTRY, _country),
)  # fmt: skip


def user_data(message: Mapping[str, Any]) -> dict[str, Any]:
    """`user_data` of a request; {} where the event names nobody. A place alone names nobody."""
    made: dict[str, Any] = {}
    for row in _DIRECT:
        if (value := _found(message, row)) is not None:
            made[row[0]] = [value]
    address = {row[0]: value for row in _ADDRESS if (value := _found(message, row))}
    if "sha256_first_name" in address or "sha256_last_name" in address:
        made["address"] = [address]
    return made


def _found(message: Mapping[str, Any], row: Row) -> str | None:
    for find in row[1]:
        value = find(message)
        if value is not None and value != "" and not isinstance(value, dict | list | bool):
            return row[2](text(value) or "")
    return None
