"""Shops: the events that Braze recommends for products, carts and orders.

Source: https://www.braze.com/docs/user_guide/data/activation/events/recommended_events/ecommerce_events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from destinations.braze.mapping import word
from turnout.bounds import MOST_ITEMS
from turnout.errors import Refused
from turnout.fields import look
from turnout.values import kept, number

__all__ = ["ORDER", "recommended"]

ORDER: Final = "order completed"
"""The name, in small letters, of the event that becomes purchases where recommended events are off."""


def _text(value: Any) -> Any:
    return word(value) or value


def _amount(value: Any) -> Any:
    found = number(value)
    return value if found is None else found


def _count(value: Any) -> Any:
    found = number(value)
    return value if found is None or found != int(found) else int(found)


def _given(value: Any) -> Any:
    return value


class _To(NamedTuple):
    """A field of Braze, the properties it comes from, and what it must be; what cannot be made so is left to Braze."""

    name: str
    sources: tuple[str, ...]
    via: Callable[[Any], Any] = _text


class _Shop(NamedTuple):
    name: str
    fields: tuple[_To, ...]
    action: str = ""
    lines: bool = True


_PRODUCT: Final = (
    _To("product_id", ("product_id", "sku")),
    _To("product_name", ("product_name", "name")),
    _To("variant_id", ("variant_id", "variant", "product_id", "sku")),
    _To("image_url", ("image_url",)),
    _To("product_url", ("product_url", "url")),
    _To("price", ("price",), _amount),
)
_LINE: Final = (*_PRODUCT, _To("quantity", ("quantity",), _count))
_CART_ID: Final = _To("cart_id", ("cart_id",))
_CURRENCY: Final = _To("currency", ("currency",))
_TOTAL: Final = (_To("total_value", ("total_value", "total", "value", "revenue"), _amount), _CURRENCY)
_ORDER: Final = (
    _To("order_id", ("order_id",)), *_TOTAL,
    _To("total_discounts", ("total_discounts", "discount"), _amount), _To("discounts", ("discounts",), _given),
)  # fmt: skip
_EVENTS: Final[Mapping[str, _Shop]] = {
    "product viewed": _Shop("product_viewed", (*_PRODUCT, _CURRENCY, _To("type", ("type",), _given)), lines=False),
    "product added": _Shop("cart_updated", (_CART_ID, *_TOTAL), "add"),
    "product removed": _Shop("cart_updated", (_CART_ID, *_TOTAL), "remove"),
    "checkout started": _Shop(
        "checkout_started", (_To("checkout_id", ("checkout_id", "order_id")), _CART_ID, *_TOTAL)
    ),
    ORDER: _Shop("order_placed", (*_ORDER, _CART_ID)),
    "order refunded": _Shop("order_refunded", _ORDER),
    "order cancelled": _Shop("order_cancelled", (*_ORDER, _To("cancel_reason", ("cancel_reason", "reason")))),
}


def recommended(name: str, message: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """Name and properties of the event that Braze recommends for one of a shop; None for any other.

    What Braze has no field for goes into `metadata`. Braze says itself what it misses.
    """
    shop = _EVENTS.get(name.strip().lower())
    if shop is None:
        return None
    given = message.get("properties")
    given = given if isinstance(given, dict) else {}
    made, rest = _filled(shop.fields, given)
    if shop.action:
        made["action"] = shop.action
    made["source"] = word(rest.pop("source", None)) or _source(message)
    if shop.lines:
        listed = rest.pop("products", None)
        if isinstance(listed, list) and len(listed) > MOST_ITEMS:
            raise Refused("too_many", f"the order has more than {MOST_ITEMS:,} products")
        if isinstance(listed, list):
            made["products"] = [_line(item) for item in listed if isinstance(item, dict)]
        elif shop.action or "product_id" in rest:
            made["products"], rest = [_line(rest)], {}
        if "currency" not in made:
            found = next(_currencies(listed), "")
            if found:
                made["currency"] = found
    _told(made, rest)
    return f"ecommerce.{shop.name}", made


def _filled(fields: tuple[_To, ...], given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Braze's fields, and what is left of the properties."""
    made: dict[str, Any] = {}
    used: set[str] = set()
    for to in fields:
        for source in to.sources:
            value = given.get(source)
            if kept(value):
                made[to.name] = to.via(value)
                used.add(source)
                break
    return made, {name: value for name, value in given.items() if name not in used}


def _line(item: Mapping[str, Any]) -> dict[str, Any]:
    made, rest = _filled(_LINE, item)
    _told(made, rest)
    return made


def _told(made: dict[str, Any], rest: dict[str, Any]) -> None:
    more = rest.pop("metadata", None)
    if isinstance(more, dict):
        rest = {**more, **rest}
    if rest:
        made["metadata"] = rest


def _currencies(items: Any) -> Iterator[str]:
    for item in items if isinstance(items, list) else ():
        found = word(item.get("currency")) if isinstance(item, dict) else ""
        if found:
            yield found


def _source(message: Mapping[str, Any]) -> str:
    """Where the event comes from, as Braze calls it: web, ios, android; else the channel."""
    channel = word(message.get("channel")).lower()
    if channel == "mobile":
        return word(look(message, "context.os.name")).lower() or channel
    return channel or "server"
