"""Traits to the fields of Salesforce's objects.

Source: Object Reference for the Salesforce Platform, "Lead", "Contact", "Account"; "Custom Fields" for their names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from turnout.fields import getter
from turnout.lookups import FIRST_NAME, LAST_NAME, NAME
from turnout.values import flat, snake, text

__all__ = ["MISSING", "custom", "fields_of", "found", "plain"]

Getter = Callable[[Any], Any]

MISSING: Final[Mapping[str, Mapping[str, str]]] = {
    "Lead": {"LastName": "n/a", "Company": "n/a"}, "Contact": {"LastName": "n/a"},
}
"""What Salesforce wants of a new record, and a person may not have told."""
_COMMON: Final = ("Description", "Fax", "Phone", "OwnerId", "RecordTypeId", "CurrencyIsoCode")
_PERSON: Final = (
    *_COMMON, "DoNotCall", "Email", "FirstName", "HasOptedOutOfEmail", "HasOptedOutOfFax", "IndividualId", "LastName",
    "LeadSource", "MiddleName", "MobilePhone", "Salutation", "Suffix", "Title",
)  # fmt: skip
_FIRM: Final = ("AnnualRevenue", "Industry", "NumberOfEmployees", "Rating", "Website")
_PLACE: Final = ("City", "Country", "CountryCode", "PostalCode", "State", "StateCode", "Street")
_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "Lead": (*_PERSON, *_FIRM, *_PLACE, "Company", "Status"),
    "Contact": (*_PERSON, "AccountId", "AssistantName", "AssistantPhone", "Birthdate", "Department", "HomePhone",
                "OtherPhone", "ReportsToId", *(f"{kind}{one}" for kind in ("Mailing", "Other") for one in _PLACE)),
    "Account": (*_COMMON, *_FIRM, "AccountNumber", "AccountSource", "Name", "Ownership", "ParentId", "Site",
                "TickerSymbol", "Type", *(f"{kind}{one}" for kind in ("Billing", "Shipping") for one in _PLACE)),
}  # fmt: skip
_PREFIX: Final = {"Lead": "", "Contact": "Mailing", "Account": "Billing"}
"""Before the fields of an address."""
_SPOKEN: Final = frozenset({
    "AnnualRevenue", "Birthdate", "City", "Company", "Country", "Department", "Description", "Email", "Fax",
    "FirstName", "Industry", "LastName", "LeadSource", "MiddleName", "MobilePhone", "Name", "NumberOfEmployees",
    "Phone", "PostalCode", "Rating", "Salutation", "State", "Street", "Suffix", "Title", "Website",
})
"""Fields that a trait means in camel or snake case too; others (`status`) are as often something else."""
_ALSO: Final = {
    "birthday": "Birthdate", "employees": "NumberOfEmployees", "mobile": "MobilePhone", "zip": "PostalCode",
    "zipcode": "PostalCode", "lastname": "LastName", "firstname": "FirstName", "postalcode": "PostalCode",
}  # fmt: skip
_SKIPPED: Final = frozenset({"address", "anonymousId", "attributes", "id", "Id", "ID", "name", "userId"})
_NOT_OF: Final = {"Contact": frozenset({"company", "Company", "rating", "Rating"})}
"""Of a lead, and of no contact: a converted lead's account has them."""
_OTHER_CHARACTERS: Final = re.compile(r"[^A-Za-z0-9]+")
_NAMES, _FIRST, _LAST = (tuple(map(getter, paths)) for paths in (NAME, FIRST_NAME, LAST_NAME))
_CUSTOM: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*__p?c")


def _table(name: str) -> dict[str, str]:
    """By spelling of a trait, its field; parts of an address have their object's prefix."""
    prefix = _PREFIX[name]
    made = {one: one for one in _FIELDS[name]}
    for one in _SPOKEN:
        field = prefix + one if one in _PLACE else one
        if field in made:
            spoken = snake(one)
            camel = one[0].lower() + one[1:]
            made |= {one: field, camel: field, spoken: field}
            made |= {short: field for short, means in _ALSO.items() if means == one}
    return made


_TABLES: Final = {name: _table(name) for name in _FIELDS}
_ANY: Final = {one: one for one in ("CurrencyIsoCode", "Name", "OwnerId", "RecordTypeId")}


def fields_of(name: str, traits: Mapping[str, Any], message: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a record of this object: standard ones by meaning, others as custom fields, nulls left out."""
    table = _TABLES.get(name, _ANY)
    own = name in _TABLES or name.endswith("__c")
    left = _NOT_OF.get(name, frozenset())
    made: dict[str, Any] = {}
    for key, value in traits.items():
        if value is None or value == "" or key in left:
            continue
        field = table.get(key)
        if field is not None:
            made[field] = _value(value)
        elif key in _SKIPPED:
            continue
        elif not own:  # an object of Salesforce whose fields are not known here
            made[key] = _value(value)
        elif isinstance(value, dict):
            made |= {custom(path): _value(one) for path, one in flat({key: value}, "_", lists=False).items() if one}
        else:
            made[custom(key)] = _value(value)
    address = traits.get("address")
    if isinstance(address, dict):
        for key, value in address.items():
            field = table.get(key)
            if field is not None and value not in (None, ""):
                made.setdefault(field, _value(value))
    if name in MISSING:
        _named(made, message)
    elif name == "Account" and isinstance(traits.get("name"), str):
        made.setdefault("Name", traits["name"])
    made.pop("", None)
    return made


def _named(made: dict[str, Any], message: Mapping[str, Any]) -> None:
    """First and last name, of `name` where they do not stand alone; one word is the last name, which must be."""
    if "LastName" in made and "FirstName" in made:
        return
    name = found(message, _NAMES)
    words = name.split() if isinstance(name, str) else []
    first = found(message, _FIRST) or (words[0] if len(words) > 1 else None)
    last = found(message, _LAST) or (" ".join(words[1:]) or (words[0] if words else None))
    if first and "FirstName" not in made:
        made["FirstName"] = first
    if last and "LastName" not in made:
        made["LastName"] = last


def found(message: Any, getters: Sequence[Getter]) -> Any:
    """`turnout.fields.look`, with getters that are made once."""
    for find in getters:
        value = find(message)
        if value is not None and value != "":
            return value
    return None


def plain(traits: Mapping[str, Any]) -> dict[str, Any]:
    """Traits that are fields already, but for what is no field: `Id`, and `attributes`, which names an object."""
    return {key: value for key, value in traits.items() if key.lower() not in ("id", "attributes")}


def _value(value: Any) -> Any:
    """A list as the choices of a picklist; of a company or the like that is an object, its name; or its JSON."""
    if isinstance(value, list):
        return ";".join(text(one) or "" for one in value if one is not None)
    if isinstance(value, dict):
        return value["name"] if isinstance(value.get("name"), str) else text(value)
    return value


@lru_cache(maxsize=4096)
def custom(key: str) -> str:
    """The name of the custom field of a trait, `plan type` as `plan_type__c`; "" where no letter or digit is in it."""
    if _CUSTOM.fullmatch(key):
        return key
    name = _OTHER_CHARACTERS.sub("_", key).strip("_")
    if not name:
        return ""
    return f"{'x' if name[0].isdigit() else ''}{name}__c"
