"""Revenue: of an event, of an order, of the products of an order.

Source: https://amplitude.com/docs/apis/analytics/http-v2 (price, quantity, revenue, productId, revenueType) and
the Order Completed of the e-commerce spec.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from destinations.amplitude.mapping import word
from turnout import codec, values
from turnout.errors import Refused
from turnout.fields import look
from turnout.lookups import products

__all__ = ["PRODUCT", "ordered", "revenue"]

PRODUCT: Final = "Product Purchased"
MOST: Final = 1_000
"""Products of an order that become events."""
MOST_BYTES: Final = 20_000_000
"""Of the events of one order, which say again who the user is: what /batch takes."""
_ORDERS = frozenset({"order completed", "completed order"})
_PURCHASES = _ORDERS | {"product purchased"}
_TAKEN = frozenset({"revenue", "price", "quantity", "product_id", "productId", "revenue_type", "revenueType"})


def revenue(name: str, properties: Mapping[str, Any], *, product: bool = False) -> dict[str, Any]:
    """The fields of an event about money; {} where there is none to count.

    An event needs a revenue, a product a price or a revenue. What has no price costs its revenue, once.
    """
    total, price = values.number(properties.get("revenue")), values.number(properties.get("price"))
    quantity = values.number(properties.get("quantity"))
    if total is None and (price is None or not product):
        return {}
    if price is None:
        price, quantity = total, 1
    found: dict[str, Any] = {"price": price, "quantity": 1 if quantity is None else quantity}
    if total is not None:
        found["revenue"] = total
    kind = word(look(properties, "revenueType", "revenue_type"))
    if kind is None and name.lower() in _PURCHASES:
        kind = "Purchased"
    if kind:
        found["revenueType"] = kind
    ident = word(look(properties, "productId", "product_id"))
    if ident:
        found["productId"] = ident
    return found


def ordered(
    event: dict[str, Any], properties: Mapping[str, Any], *, once: bool, each: bool
) -> list[dict[str, Any]]:
    """The event with its revenue, and, of an order, an event for each of its products.

    What has products and a revenue is an order too, whatever its name. `once` leaves the products in the
    order; `each` counts revenue by product and not by order. Raises `Refused` for too many products.
    """
    name = event["event_type"]
    money = revenue(name, properties)
    items = products({"properties": properties}) if money or name.lower() in _ORDERS else []
    shown = properties if once or not items else values.without(properties, ("products",))
    if each and items:
        money = {}
    main = {**event, "event_properties": values.without(shown, _TAKEN) if money else shown, **money}
    if not items or (once and not each):
        return [main]
    if len(items) > MOST or (len(items) > 1 and len(items) * len(codec.dumps(event)) > MOST_BYTES):
        raise Refused("too_large", f"{len(items)} products are more than an order may become events of")
    return [main, *_bought(event, items, each=each)]


def _bought(event: Mapping[str, Any], items: Sequence[Mapping[str, Any]], *, each: bool) -> list[dict[str, Any]]:
    made = []
    for place, item in enumerate(items, 1):
        money = revenue(PRODUCT, item, product=True) if each else {}
        one = {
            **event, "event_type": PRODUCT,
            "event_properties": values.without(item, _TAKEN) if money else item, **money,
        }
        if "insert_id" in event:
            one["insert_id"] = f"{event['insert_id']}-{place}"
        made.append(one)
    return made
