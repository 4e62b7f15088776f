"""`user_data`: who did it, normalised and hashed as Meta asks.

Sources: https://developers.facebook.com/docs/marketing-api/conversions-api/parameters/customer-information-parameters
(what is hashed, and its form before that) and .../parameters/fbp-and-fbc (how `fbc` is made of a click's id).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final, Literal
from urllib.parse import unquote_plus

from turnout import lookups
from turnout.fields import finder, getter
from turnout.values import millis, moment, text

__all__ = ["NameRules", "digest", "scalar", "user_data"]

NameRules = Literal["meta", "rudderstack"]
"""How names are hashed: `meta`, first and last name before the whole one, in lower case, without punctuation;
`rudderstack`, the whole one first, as it is written."""

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_NO_DIGIT: Final = re.compile(r"[^0-9]+")
_NO_LETTER: Final = re.compile(r"[\W\d_]+")
_NO_WORD: Final = re.compile(r"[\W_]+")
_SPACE: Final = re.compile(r"\s+")
_DATE: Final = re.compile(r"\d{8}")
_CLICK: Final = re.compile(r"[?&]fbclid=([^&#]+)")
_SEXES: Final = {"f": "f", "female": "f", "m": "m", "male": "m"}


def scalar(value: Any) -> str:
    """A text or a number as text; "" for anything else."""
    if isinstance(value, str):
        return value
    return "" if not isinstance(value, int | float) or isinstance(value, bool) else text(value) or ""


def digest(value: Any) -> str:
    """SHA-256 of a scalar's text as hex; what is one already stays. "" for what is no scalar, or empty."""
    plain = scalar(value)
    if not plain or (len(plain) == 64 and _DIGEST.fullmatch(plain)):
        return plain
    return sha256(plain.encode("utf-8", "replace")).hexdigest()


# ---- forms before hashing, of a text


def _plain(value: str) -> str:
    return value.strip().lower()


def _phone(value: str) -> str:
    return _NO_DIGIT.sub("", value).lstrip("0")


def _sex(value: str) -> str:
    return _SEXES.get(value.strip().lower(), "")


def _birthday(value: str) -> str:
    plain = value.strip()
    if _DATE.fullmatch(plain):
        return plain
    found = moment(plain)
    return found.strftime("%Y%m%d") if found is not None else ""


def _name(value: str) -> str:
    plain = value.lower()
    return plain if plain.isalpha() else _NO_WORD.sub("", plain)


def _as_written(value: str) -> str:
    return value


def _place(value: str) -> str:
    plain = value.lower()
    return plain if plain.isalpha() else _NO_LETTER.sub("", plain)


def _zip(value: str) -> str:
    return _SPACE.sub("", value.lower()).partition("-")[0]


# ---- where it comes from

_Row = tuple[str, tuple[str, ...], tuple[str, ...], Callable[[str], str]]
_PEOPLE: Final[Sequence[_Row]] = (
    ("em", ("email",), (), _plain),
    ("ph", ("phone",), (), _phone),
    ("ge", ("gender",), (), _sex),
    ("db", ("birthday",), (), _birthday),
    ("ct", ("city",), ("city",), _place),
    ("st", ("state",), ("state",), _place),
    ("zp", ("zip", "zipcode", "postalCode"), ("zip", "postalCode"), _zip),
    ("country", ("country",), ("country",), _place),
)
"""Fields about a person: their traits, those of their `address`, and the form that is hashed."""
_NAMES: Final[Sequence[tuple[str, tuple[str, ...]]]] = (
    ("fn", ("firstName", "firstname", "first_name")), ("ln", ("lastName", "lastname", "last_name")),
)  # fmt: skip
_TRAITS: Final = tuple(map(getter, lookups.TRAITS))


_page_url: Final = finder(lookups.PAGE_URL)
_time: Final = finder(lookups.TIMESTAMP)
_user_id: Final = finder(lookups.USER_ID)


def _fbc(message: Any) -> str | None:
    """Made of the id of a click that the page's address holds, as Meta's own cookie is."""
    url = _page_url(message)
    found = _CLICK.search(url) if isinstance(url, str) else None
    when = millis(_time(message)) if found else None
    return f"fb.1.{when}.{unquote_plus(found[1])}" if found and when is not None else None


_CLEAR: Final = tuple((to, finder(sources)) for to, sources in (
    ("client_ip_address", lookups.IP),
    ("client_user_agent", lookups.USER_AGENT),
    ("fbc", ("context.fbc", "properties.fbc", _fbc)),
    ("fbp", ("context.fbp", "properties.fbp")),
    ("fb_login_id", ("context.fb_login_id",)),
    ("lead_id", ("context.lead_id",)),
    ("subscription_id", ("context.subscription_id",)),
))  # fmt: skip
"""What Meta takes as it is."""


def user_data(message: Mapping[str, Any], *, names: NameRules, hashed: bool, external_id: bool) -> dict[str, Any]:
    """What Meta may know a person by; {} where the event holds nothing of it.

    `hashed` says that all of the event's values are digests, whatever they look like: they are sent as they are.
    """
    made: dict[str, Any] = {}
    places = [found for find in _TRAITS if isinstance(found := find(message), dict)]
    for place in places:
        _person(place, made, hashed=hashed)
    if places:
        _name_of(places, made, names, hashed=hashed)
    properties = message.get("properties")
    if isinstance(properties, dict):
        for to, name, form in (("em", "email", _plain), ("ph", "phone", _phone)):
            if to not in made and name in properties:
                _put(made, to, properties[name], form, hashed=hashed)
    for to, find in _CLEAR:
        value = find(message)
        if value is not None and (known := scalar(value)):
            made[to] = known
    if external_id:
        _put(made, "external_id", _user_id(message), _as_written, hashed=hashed)
    return made


def _person(place: Mapping[str, Any], made: dict[str, Any], *, hashed: bool) -> None:
    address = place.get("address")
    inner = address if isinstance(address, dict) else {}
    for to, own, inside, form in _PEOPLE:
        if to not in made:
            value = place.get(own[0]) or _first(place, own)
            if value is None and inside and inner:
                value = _first(inner, inside)
            if value is not None:
                _put(made, to, value, form, hashed=hashed)


def _name_of(places: Sequence[Mapping[str, Any]], made: dict[str, Any], names: NameRules, *, hashed: bool) -> None:
    form = _name if names == "meta" else _as_written
    whole = next((name for place in places if isinstance(name := place.get("name"), str)), "").split()
    for (to, own), word in zip(_NAMES, (whole[:1], whole[1:][-1:]), strict=True):
        value = next((found for place in places if (found := _first(place, own)) is not None), None)
        if word and (value is None or names == "rudderstack"):
            value = word[0]
        if value is not None:
            _put(made, to, value, form, hashed=hashed)


def _first(place: Mapping[str, Any], names: Sequence[str]) -> Any:
    for name in names:
        value = place.get(name)
        if value is not None and value != "":
            return value
    return None


def _put(made: dict[str, Any], to: str, value: Any, form: Callable[[str], str], *, hashed: bool) -> None:
    """A value as it is, a digest as it is, or the digest of its form; nothing where that is empty."""
    known = value if type(value) is str else scalar(value)
    if not hashed and not (len(known) == 64 and _DIGEST.fullmatch(known)):
        known = form(known)
        known = sha256(known.encode("utf-8", "replace")).hexdigest() if known else ""
    if known:
        made[to] = known
