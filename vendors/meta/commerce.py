"""`custom_data` of the events of a shop: which products, which category, how many.

Sources: https://developers.facebook.com/docs/marketing-api/conversions-api/parameters/custom-data and
https://developers.facebook.com/docs/meta-pixel/reference (standard events and their properties).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from turnout.bounds import MOST_ITEMS
from turnout.errors import Refused
from turnout.values import number, text

__all__ = ["BASKET", "EVENTS", "STANDARD", "Family", "amount", "category_of", "content", "currency_of", "family_of"]


class Family(StrEnum):
    """What an event is about: it decides which fields of `custom_data` are made."""

    LISTING = "listing"
    PRODUCT = "product"
    ORDER = "order"
    SEARCH = "search"
    CHECKOUT = "checkout"
    PAYMENT = "payment"
    PLAIN = "plain"


EVENTS: Final[Mapping[str, tuple[str, Family]]] = {
    "product list viewed": ("ViewContent", Family.LISTING),
    "product viewed": ("ViewContent", Family.PRODUCT),
    "product added": ("AddToCart", Family.PRODUCT),
    "order completed": ("Purchase", Family.ORDER),
    "products searched": ("Search", Family.SEARCH),
    "checkout started": ("InitiateCheckout", Family.CHECKOUT),
}
"""Events of the e-commerce spec, in lower case, that both destinations know."""
BASKET: Final[Mapping[str, tuple[str, Family]]] = {
    "payment info entered": ("AddPaymentInfo", Family.PAYMENT),
    "product added to wishlist": ("AddToWishlist", Family.PRODUCT),
}
"""More of them, known to `facebook_conversions`: a browser's pixel gives these no other name."""
_FAMILIES: Final[Mapping[str, Family]] = {
    "ViewContent": Family.PRODUCT, "AddToCart": Family.PRODUCT, "Purchase": Family.ORDER, "Search": Family.SEARCH,
    "InitiateCheckout": Family.CHECKOUT,
}
STANDARD: Final[Mapping[str, str]] = {name.lower(): name for name in (
    "AddPaymentInfo", "AddToCart", "AddToWishlist", "CompleteRegistration", "Contact", "CustomizeProduct", "Donate",
    "FindLocation", "InitiateCheckout", "Lead", "PageView", "Purchase", "Schedule", "Search", "StartTrial",
    "SubmitApplication", "Subscribe", "ViewContent",
)}  # fmt: skip
"""Meta's own names, by their lower-case form."""


def family_of(name: str, more: Mapping[str, Family], properties: Mapping[str, Any]) -> Family:
    """The family of an event that has one of Meta's names; `more` are those beside what all have."""
    found = more.get(name) or _FAMILIES.get(name, Family.PLAIN)
    if name == "ViewContent" and isinstance(properties.get("products"), list):
        return Family.LISTING
    return found


def amount(value: Any, name: str) -> int | float | None:
    """Money with two decimals; None where none is given. Raises `Refused` for what is no number."""
    if value is None or value == "":
        return None
    found = number(value)
    if found is None:
        raise Refused("bad_amount", f"properties.{name} is no number")
    return found if isinstance(found, int) else round(found, 2)


def currency_of(properties: Mapping[str, Any]) -> str:
    """`properties.currency`, USD where there is none: Meta takes no value without one."""
    found = properties.get("currency")
    return found if isinstance(found, str) and found else "USD"


def category_of(properties: Mapping[str, Any]) -> str | None:
    """`properties.category`; of several, all with commas between. Raises `Refused` for an object."""
    found = properties.get("category")
    if isinstance(found, list):
        return ",".join(text(one) or "" for one in found)
    if isinstance(found, dict):
        raise Refused("bad_category", "properties.category is neither a text nor a list of texts")
    return text(found)


def content(
    family: Family, properties: Mapping[str, Any], *, kinds: Mapping[str, str], kind: Any = None
) -> dict[str, Any]:
    """The fields about content for an event of a family; {} for a plain one.

    `kinds` are content types by category, `kind` is one that the event's options name. Raises `Refused` where
    products or the query are not what they should be.
    """
    if family is Family.PLAIN:
        return {}
    category, items = category_of(properties), _products(properties)
    made: dict[str, Any] = {}
    ids, contents, usual = _contents(family, properties, items, category)
    made["content_ids"], made["contents"] = ids, contents
    named = kind or properties.get("content_type") or kinds.get(category or _first_category(items))
    made["content_type"] = named if isinstance(named, str) else usual
    if category:
        made["content_category"] = category
    if family is Family.PRODUCT:
        name = properties.get("product_name") or properties.get("name")
        if isinstance(name, str):
            made["content_name"] = name
    elif family is Family.SEARCH:
        query = properties.get("query")
        if query is not None and not isinstance(query, str):
            raise Refused("bad_query", "properties.query is no text")
        if query:
            made["search_string"] = query
    elif family in (Family.ORDER, Family.CHECKOUT):
        made["num_items"] = len(ids)
    return made


def _contents(
    family: Family, properties: Mapping[str, Any], items: list[dict[str, Any]], category: str | None
) -> tuple[list[Any], list[dict[str, Any]], str]:
    """Ids, contents, and the content type that they stand for."""
    if not items and family is Family.LISTING:
        if not category:
            return [], [], "product_group"
        return [category], [{"id": category, "quantity": 1}], "product_group"
    # What is bought is what is listed: the product of a checkout itself is none of its items.
    alone = not items and family in (Family.PRODUCT, Family.SEARCH)
    made = []
    for item in (properties,) if alone else items:
        ident = _id(item)
        if ident is None:
            continue
        one: dict[str, Any] = {"id": ident, "quantity": _count(item, properties)}
        price = number(item.get("price"))
        if price is None:
            price = number(properties.get("price"))
        if price is not None:
            one["item_price"] = price
        if family is Family.ORDER:
            way = item.get("delivery_category") or properties.get("delivery_category")
            if isinstance(way, str):
                one["delivery_category"] = way
        made.append(one)
    return [one["id"] for one in made], made, "product"


def _id(item: Mapping[str, Any]) -> str | int | float | None:
    for name in ("product_id", "id", "sku"):
        found = item.get(name)
        if isinstance(found, str | int | float) and not isinstance(found, bool) and found != "":
            return found
    return None


def _count(item: Mapping[str, Any], properties: Mapping[str, Any]) -> int | float:
    return number(item.get("quantity")) or number(properties.get("quantity")) or 1


def _products(properties: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = properties.get("products")
    if found is None or found == "":
        return []
    if isinstance(found, list) and len(found) > MOST_ITEMS:
        raise Refused("too_many", f"properties.products has more than {MOST_ITEMS:,} products")
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise Refused("bad_products", "properties.products is no list of objects")
    return found


def _first_category(items: list[dict[str, Any]]) -> str:
    found = items[0].get("category") if items else None
    return found if isinstance(found, str) else ""
