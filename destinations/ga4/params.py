"""What an event says as Google's parameters: flat, named as Google names them, with an `items` array.

Source: https://developers.google.com/analytics/devguides/collection/protocol/ga4/reference/events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from destinations.ga4.events import Spec
from destinations.ga4.names import PREFIXES, RESERVED_PARAMS, RESERVED_USER_PROPERTIES, legal
from turnout.errors import Refused
from turnout.values import number

__all__ = ["CURRENCY", "OWN", "custom", "session", "tracked", "user_properties"]

CURRENCY: Final = "USD"
"""Of a value without a currency: Google does not count one that has none."""
OWN: Final = frozenset({
    "engagementTimeMsec", "engagement_time_msec", "sessionId", "session_id", "sessionNumber", "session_number",
    "user_properties",
})  # fmt: skip
"""Properties and traits that are no parameters under these names, or are set by `session`."""
MOST_USER_PROPERTIES: Final = 25
LONGEST_USER_PROPERTY_NAME: Final = 24
LONGEST_USER_PROPERTY: Final = 36
_DEEPEST: Final = 20
_ITEM: Final[Mapping[str, tuple[str, bool, Callable[[Any], Any] | None]]] = {
    "product_id": ("item_id", True, None), "item_id": ("item_id", False, None),
    "name": ("item_name", True, None), "item_name": ("item_name", False, None),
    "category": ("item_category", True, None), "item_category": ("item_category", False, None),
    "brand": ("item_brand", True, None), "item_brand": ("item_brand", False, None),
    "variant": ("item_variant", True, None), "item_variant": ("item_variant", False, None),
    "position": ("index", True, number), "index": ("index", False, number),
    "price": ("price", True, number), "quantity": ("quantity", True, number), "discount": ("discount", True, number),
    **{
        name: (name, True, None)
        for name in (
            "coupon", "affiliation", "currency", "item_category2", "item_category3", "item_category4",
            "item_category5", "item_list_id", "item_list_name", "location_id",
        )
    },
}  # fmt: skip
"""By a product's property: the item's parameter, whether it goes before another for the same, what it becomes."""
_OF_ITEMS = frozenset(_ITEM)
_OF_PROMOTIONS = ("creative_name", "creative_slot", "promotion_id", "promotion_name")


# ---- items


def _item(product: Mapping[str, Any], *, whole: bool) -> dict[str, Any]:
    """A product as an item; with `whole`, what Google has no name for is in it too."""
    item: dict[str, Any] = {}
    for name, value in product.items():
        if value is None or value == "":
            continue
        known = _ITEM.get(name)
        if known is not None:
            to, first, via = known
            if first or to not in item:
                told = via(value) if via is not None else value
                if isinstance(told, str | int | float):
                    item[to] = told
        elif whole:
            _put(item, name, value)
    return item


def _items(properties: Mapping[str, Any], spec: Spec) -> tuple[list[dict[str, Any]], bool]:
    """The items of a recommended event, and whether they are the properties themselves (one product)."""
    found = properties.get("products") or properties.get("items")
    products = found if isinstance(found, list) else [found]
    items = [_item(product, whole=True) for product in products if isinstance(product, dict) and product]
    if items:
        if spec.items != "promotion" and not all("item_id" in item or "item_name" in item for item in items):
            raise Refused("missing_field", "a product has neither product_id nor name")
        return items, False
    if spec.items == "optional" and not (properties.get("product_id") or properties.get("item_id")):
        return [], False
    item = _item(properties, whole=False)
    if "item_id" in item or "item_name" in item:
        if spec.items == "promotion":
            item |= {name: properties[name] for name in _OF_PROMOTIONS if isinstance(properties.get(name), str)}
        return [item], True
    if spec.items == "promotion" and (properties.get("promotion_id") or properties.get("promotion_name")):
        return [], False
    raise Refused("missing_field", f"{spec.name} needs properties.products, or a product_id or name of its own")


# ---- parameters


def tracked(spec: Spec | None, properties: Mapping[str, Any], message: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a track event, those of the recommended ones first; raises `Refused` where one is missing."""
    if spec is None:
        return _unknown(properties)
    made: dict[str, Any] = {}
    taken = spec.taken
    for to, names, via, required in spec.params:
        value = _first(properties, names, via)
        if value is not None:
            made[to] = value
        elif required:
            raise Refused("missing_field", f"{spec.name} needs {' or '.join(f'properties.{name}' for name in names)}")
    if spec.campaign:
        _campaign(spec, message, made)
    if spec.counted and "value" not in made:
        price, quantity = number(properties.get("price")), number(properties.get("quantity"))
        if price is not None:
            made["value"] = price * (1 if quantity is None else quantity)
    if spec.money and "value" in made and "currency" not in made:
        made["currency"] = CURRENCY
    if spec.items != "none":
        items, alone = _items(properties, spec)
        if items:
            made["items"] = items
        if alone:
            taken |= _OF_ITEMS
        taken |= {"products", "items"}
    return custom(properties, taken, made)


def _unknown(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Of an event that is none of Google's: as they are, products as items, which are the only list Google reads."""
    products = properties.get("products")
    if isinstance(products, list) and products and all(isinstance(one, dict) for one in products):
        items = [item for product in products if (item := _item(product, whole=True))]
        return custom(properties, frozenset({"products"}), {"items": items} if items else {})
    return custom(properties)


def _first(properties: Mapping[str, Any], names: tuple[str, ...], via: Callable[[Any], Any] | None) -> Any:
    for name in names:
        value = properties.get(name)
        if isinstance(value, str | int | float) and value != "":
            value = via(value) if via is not None else value
            if value is not None:
                return value
    return None


def _campaign(spec: Spec, message: Mapping[str, Any], made: dict[str, Any]) -> None:
    context = message.get("context")
    found = context.get("campaign") if isinstance(context, dict) else None
    if isinstance(found, dict):
        for to, names, via, _ in spec.params:
            if to not in made and (value := _first(found, names, via)) is not None:
                made[to] = value


def custom(
    source: Mapping[str, Any], taken: frozenset[str] = frozenset(), into: dict[str, Any] | None = None
) -> dict[str, Any]:
    """What is not `taken`, flat, without null, empty texts and names that Google keeps for itself."""
    made = {} if into is None else into
    for name, value in source.items():
        if name not in taken and name not in OWN and name not in made:
            _put(made, name, value)
    return made


def _put(made: dict[str, Any], name: str, value: Any) -> None:
    if value is None or value == "" or name.startswith(PREFIXES) or name in RESERVED_PARAMS:
        return
    if isinstance(value, dict | list):
        for inner, leaf in _leaves(value, name, 0):
            made.setdefault(inner, leaf)
    else:
        made[name] = value


def _leaves(value: Any, name: str, depth: int) -> Iterator[tuple[str, Any]]:
    """`{"a": {"b": 1}}` is `a_b`, `{"a": [1, 2]}` is `a_0` and `a_1`."""
    if depth > _DEEPEST:
        return
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for step, item in inner:
        if isinstance(item, dict | list):
            yield from _leaves(item, f"{name}_{step}", depth + 1)
        elif item is not None and item != "":
            yield f"{name}_{step}", item


def session(
    params: dict[str, Any], own: Mapping[str, Any], context: Mapping[str, Any], options: Mapping[str, Any], *,
    hybrid: bool,
) -> None:
    """The session of an event: in hybrid mode that of Google's own tag, else its own, else that of the SDK.

    `own` are its properties or traits.
    """
    ident = options.get("sessionId") if hybrid else None
    ident = ident or own.get("session_id") or own.get("sessionId") or context.get("sessionId")
    if ident and isinstance(ident, str | int | float):
        params["session_id"] = ident
    count = options.get("sessionNumber") or own.get("session_number") or own.get("sessionNumber")
    if count and isinstance(count, str | int):
        params["session_number"] = count


# ---- the user


def user_properties(
    traits: Any, given: Any, ignored: frozenset[str], *, fit: bool
) -> dict[str, dict[str, Any]]:
    """Traits, and over them the `user_properties` of an event; Google takes 25 short scalars.

    With `fit`, names are made legal.
    """
    made: dict[str, dict[str, Any]] = {}
    for source in (traits, given):
        for name, value in source.items() if isinstance(source, dict) else ():
            if (
                not isinstance(value, str | int | float)
                or name in ignored
                or (isinstance(value, str) and not 0 < len(value) <= LONGEST_USER_PROPERTY)
            ):
                continue
            to = legal(name) if fit else name
            if (
                0 < len(to) <= LONGEST_USER_PROPERTY_NAME
                and to not in RESERVED_USER_PROPERTIES
                and not to.startswith(PREFIXES)
                and (to in made or len(made) < MOST_USER_PROPERTIES)
            ):
                made[to] = {"value": value}
    return made
