"""Klaviyo's own names for the events of a shop and what is in them, which v1 sends.

Source: https://developers.klaviyo.com/en/docs/guide_to_integrating_a_platform_without_a_pre_built_klaviyo_integration
(Viewed Product, Added to Cart, Started Checkout).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from turnout.fields import Field, Fields
from turnout.values import number

__all__ = ["shop"]


def _items(value: Any) -> list[dict[str, Any]] | None:
    if not isinstance(value, list):
        return None
    return [
        {**_ITEM.fill(one), **{key: item for key, item in one.items() if key not in _ITEM_TAKEN}}
        for one in value if isinstance(one, dict)
    ]  # fmt: skip


_ITEM: Final = Fields(
    Field("ProductID", "product_id"),
    Field("SKU", "sku"),
    Field("ProductName", "name"),
    Field("Quantity", "quantity"),
    Field("ItemPrice", "price"),
    Field("RowTotal", "total"),
    Field("ProductURL", "url"),
    Field("ImageURL", "image_url"),
    Field("ProductCategories", "categories"),
)
_ITEM_TAKEN: Final = frozenset(source for field in _ITEM.fields for source in field.sources)
_BASKET: Final = (
    Field("$value", "value", "revenue", "total", via=number),
    Field("ItemNames", "item_names"),
    Field("CheckoutURL", "checkout_url"),
    Field("items", "products", "items", via=_items),
)


class _Shop(NamedTuple):
    name: str
    fields: Fields
    taken: frozenset[str]


def _shop(name: str, *fields: Field) -> _Shop:
    taken = {source for field in fields for source in field.sources if isinstance(source, str)}
    return _Shop(name, Fields(*fields), frozenset(taken | {"order_id"}))


_SHOP: Final = {
    "product viewed": _shop(
        "Viewed Product",
        Field("ProductName", "name"),
        Field("ProductID", "product_id"),
        Field("SKU", "sku"),
        Field("ImageURL", "image_url"),
        Field("URL", "url"),
        Field("Brand", "brand"),
        Field("Price", "price"),
        Field("CompareAtPrice", "compare_at_price"),
        Field("Categories", "categories"),
    ),
    "product added": _shop(
        "Added to Cart",
        *_BASKET,
        Field("AddedItemProductName", "name"),
        Field("AddedItemProductID", "product_id"),
        Field("AddedItemSKU", "sku"),
        Field("AddedItemImageURL", "image_url"),
        Field("AddedItemURL", "url"),
        Field("AddedItemPrice", "price"),
        Field("AddedItemQuantity", "quantity"),
        Field("AddedItemCategories", "categories"),
    ),
    "checkout started": _shop(
        "Started Checkout", Field("$event_id", "order_id"), *_BASKET, Field("Categories", "categories")
    ),
}


def shop(name: str, properties: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """Klaviyo's name of an event and its properties; None for an event that is none of a shop."""
    found = _SHOP.get(name.strip().lower())
    if found is None:
        return None
    made = found.fields.fill(properties)
    made.update({key: value for key, value in properties.items() if key not in found.taken})
    return found.name, made
