"""What names a person, hashed as Google Ads wants it.

Source: https://developers.google.com/google-ads/api/docs/conversions/upload-offline (trim, lower case, SHA-256; no
points before gmail.com; phone numbers as E.164; of an address the names and the street are hashed).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from turnout.fields import Getter, finder
from turnout.lookups import CITY, COUNTRY, EMAIL, FIRST_NAME, LAST_NAME, PHONE, STATE, ZIP
from turnout.values import digest, text

__all__ = ["FORMS", "Hashing", "People"]

_GOOGLE: Final = frozenset({"gmail.com", "googlemail.com"})
_NO_DIGITS = re.compile(r"\D")
Hashing = Callable[[str], str]


def _plain(value: str) -> str:
    return value.strip().lower()


def _email(value: str) -> str:
    plain = "".join(value.lower().split())
    name, at, host = plain.rpartition("@")
    return f"{name.replace('.', '')}{at}{host}" if host in _GOOGLE else plain


def _phone(value: str) -> str:
    digits = _NO_DIGITS.sub("", value)
    return f"+{digits}" if digits else ""


FORMS: Final[Mapping[str, tuple[Hashing, Hashing]]] = {"google": (_email, _phone), "rudderstack": (_plain, _plain)}
"""How an e-mail address and a phone number are written before they are hashed."""
_STREET: Final = tuple(
    f"{place}.{name}" for place in ("traits", "context.traits")
    for name in ("streetAddress", "street_address", "street", "address.street")
)
_POSTCODE: Final = ("traits.postalCode", "context.traits.postalCode", *ZIP)
_COUNTRY: Final = (
    "traits.countryCode", "context.traits.countryCode", "traits.country_code", "context.traits.country_code", *COUNTRY,
)


class People:
    """The identifiers of events' users. `hashed` False: the values are hashed already and are sent as they are."""

    def __init__(self, *, form: str = "google", hashed: bool = True) -> None:
        email, phone = FORMS[form]
        raw: Hashing = str.strip
        self._email = _via(email, hashed) if hashed else raw
        self._phone = _via(phone, hashed) if hashed else raw
        self._word = _via(_plain, hashed) if hashed else raw

    def email(self, message: Mapping[str, Any]) -> str:
        """The e-mail address; "" where there is none."""
        return _made(message, _find_email, self._email)

    def phone(self, message: Mapping[str, Any]) -> str:
        """The phone number; "" where there is none."""
        return _made(message, _find_phone, self._phone)

    def address(self, message: Mapping[str, Any]) -> dict[str, str]:
        """`addressInfo`: names and street hashed, the rest as it is; {} where nothing of it is known."""
        made = {name: _made(message, find, self._word) for name, find in _HASHED}
        made |= {name: _made(message, find, str.strip) for name, find in _OPEN}
        return {name: value for name, value in made.items() if value}


def _via(form: Hashing, hashed: bool) -> Hashing:
    def made(value: str) -> str:
        plain = form(value)
        return (digest(plain) or "") if plain else ""

    return made


def _made(message: Mapping[str, Any], find: Getter, via: Hashing) -> str:
    value = find(message)
    if value is None or isinstance(value, dict | list | bool):
        return ""
    return via(text(value) or "")


_find_email: Final = finder(EMAIL)
_find_phone: Final = finder(PHONE)
_HASHED: Final = tuple((name, finder(paths)) for name, paths in (
    ("hashedFirstName", FIRST_NAME), ("hashedLastName", LAST_NAME), ("hashedStreetAddress", _STREET),
))
_OPEN: Final = tuple((name, finder(paths)) for name, paths in (
    ("city", CITY), ("state", STATE), ("countryCode", _COUNTRY), ("postalCode", _POSTCODE),
))
