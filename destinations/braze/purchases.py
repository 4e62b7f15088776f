"""Purchases: one for each product of a completed order.

Source: https://www.braze.com/docs/api/objects_filters/purchase_object (fields),
https://www.braze.com/docs/developer_guide/analytics/logging_purchases (reserved names of properties).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from destinations.braze.mapping import word
from turnout.bounds import MOST_ITEMS
from turnout.errors import Refused
from turnout.fields import look
from turnout.values import number

__all__ = ["purchases"]

_RESERVED: Final = frozenset({"currency", "event_name", "price", "product_id", "quantity", "time"})
"""What no property of a purchase may be called."""


def purchases(
    message: Mapping[str, Any], when: str, who: Mapping[str, Any], *, properties: bool
) -> list[dict[str, Any]]:
    """A purchase for each product of an order; raises `Refused` where one of them cannot be one.

    `properties` gives each what else its product says. Nulls among the products are left out.
    """
    products = look(message, "properties.products")
    if not isinstance(products, list):
        raise Refused("missing_field", "properties.products of the order is no list")
    if len(products) > MOST_ITEMS:
        raise Refused("too_many", f"the order has more than {MOST_ITEMS:,} products")
    bought = [(at, one) for at, one in enumerate(products) if one is not None]
    if not bought:
        raise Refused("missing_field", "properties.products of the order has no product")
    currency = word(look(message, "properties.currency"))
    made = []
    for at, product in bought:
        if not isinstance(product, dict):
            raise Refused("bad_field", f"product {at} of the order is not an object")
        purchase = {**_purchase(product, at, currency), "time": when}
        if properties and (more := _properties(product)):
            purchase["properties"] = more
        made.append({**purchase, **who})
    return made


def _purchase(product: Mapping[str, Any], at: int, currency: str) -> dict[str, Any]:
    """The fields that every purchase has; `currency` is the order's."""
    made = {
        "product_id": word(product.get("product_id")) or word(product.get("sku")) or None,
        "price": number(product.get("price")),
        "currency": currency or word(product.get("currency")) or None,
        "quantity": _whole(product.get("quantity")),
    }
    for name, value in made.items():
        if value is None:
            raise Refused("missing_field", f"product {at} of the order has no {name} that Braze can read")
    return made


def _whole(value: Any) -> int | None:
    """A whole number; half a piece cannot be bought, and cut off it would change the revenue."""
    found = number(value)
    return int(found) if found is not None and found == int(found) else None


def _properties(product: Mapping[str, Any]) -> dict[str, Any]:
    """What a product says besides the fields of its purchase; its `sku` too, unless that is the product's id."""
    made = {name: value for name, value in product.items() if name not in _RESERVED}
    if not word(product.get("product_id")):
        made.pop("sku", None)
    return made
