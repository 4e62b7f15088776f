"""Google's recommended events: the names under which they come, where their parameters are, whether they have items.

Source: https://developers.google.com/analytics/devguides/collection/protocol/ga4/reference/events (parameters, which
of them are required) and https://www.rudderstack.com/docs/event-spec/ecommerce-events-spec/ (names and properties).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple

from turnout.values import number

__all__ = ["EVENTS", "Param", "Spec"]

Items = Literal["none", "optional", "required", "promotion"]


class Param(NamedTuple):
    """A parameter, and the properties that it may come from: the first that has a value counts."""

    to: str
    names: tuple[str, ...]
    via: Callable[[Any], Any] | None = None
    required: bool = False


class Spec:
    """A recommended event. `money` says that it has a value in a currency, `counted` that a price and a quantity
    make one; `campaign` that its parameters are in the context, too; `taken` are the properties that it uses up."""

    __slots__ = ("campaign", "counted", "items", "money", "name", "params", "taken")

    def __init__(
        self, name: str, *params: Param, items: Items = "none", value: tuple[str, ...] = (), counted: bool = False,
        campaign: bool = False,
    ) -> None:
        self.name, self.items, self.counted, self.campaign = name, items, counted, campaign
        self.money = bool(value)
        own = (*params, Param("value", value, number), Param("currency", ("currency",))) if value else params
        self.params = own
        self.taken = frozenset(source for param in own for source in param.names)


def _as(to: str, *names: str, required: bool = False) -> Param:
    return Param(to, (to, *names), required=required)


_TOTAL = ("total", "value", "revenue")
_PRICED = ("total", "price", "value", "revenue")
_COUPON = _as("coupon")
_LIST = (_as("item_list_id", "list_id"), _as("item_list_name", "category"))
_PROMOTION = (
    _as("creative_name", "creative"), _as("creative_slot", "position"), _as("location_id"), _as("promotion_id"),
    _as("promotion_name", "name"),
)  # fmt: skip
_ORDER = (
    _as("transaction_id", "order_id", required=True), _as("affiliation"), _COUPON,
    Param("shipping", ("shipping",), number), Param("tax", ("tax",), number),
)  # fmt: skip
_SHARE = (_as("method", "share_via"), _as("content_type"))
_LEAD = ("value",)

_SPECS: Final = (
    Spec("search", _as("search_term", "query", required=True)),
    Spec("view_item_list", *_LIST, items="required"),
    Spec("select_item", *_LIST, items="required"),
    Spec("view_promotion", *_PROMOTION, items="promotion"),
    Spec("select_promotion", *_PROMOTION, items="optional"),
    Spec("view_item", items="required", value=_PRICED),
    Spec("add_to_wishlist", items="required", value=_PRICED),
    Spec("add_to_cart", items="required", value=_TOTAL, counted=True),
    Spec("remove_from_cart", items="required", value=_TOTAL, counted=True),
    Spec("view_cart", items="required", value=_TOTAL),
    Spec("begin_checkout", _COUPON, items="required", value=_TOTAL),
    Spec("add_payment_info", _as("payment_type", "payment_method"), _COUPON, items="required", value=_TOTAL),
    Spec("add_shipping_info", _as("shipping_tier", "shipping_method"), _COUPON, items="optional", value=_TOTAL),
    Spec("purchase", *_ORDER, items="required", value=_TOTAL),
    Spec("refund", *_ORDER, items="optional", value=_TOTAL),
    Spec("share", *_SHARE, Param("item_id", ("item_id", "product_id", "sku", "cart_id"))),
    Spec("view_search_results", _as("search_term"), items="optional"),
    Spec("post_score", _as("score", required=True)),
    Spec("spend_virtual_currency", _as("value", required=True), _as("virtual_currency_name", required=True)),
    Spec("unlock_achievement", _as("achievement_id", required=True)),
    Spec(
        "campaign_details", _as("campaign_id", "id"), _as("campaign", "name"), _as("source"), _as("medium"),
        _as("term"), _as("content"), campaign=True,
    ),
    *(
        Spec(name, value=_LEAD)
        for name in (
            "generate_lead", "qualify_lead", "disqualify_lead", "working_lead", "close_convert_lead",
            "close_unconvert_lead", "ad_impression",
        )
    ),
    *(
        Spec(name)
        for name in (
            "earn_virtual_currency", "join_group", "level_up", "login", "select_content", "sign_up",
            "tutorial_begin", "tutorial_complete", "exception",
        )
    ),
)  # fmt: skip
_BY_NAME: Final = {spec.name: spec for spec in _SPECS}
EVENTS: Final = _BY_NAME | {
    name: _BY_NAME[google]
    for name, google in {
        "products_searched": "search", "product_list_viewed": "view_item_list", "product_clicked": "select_item",
        "promotion_viewed": "view_promotion", "promotion_clicked": "select_promotion",
        "product_viewed": "view_item", "product_added": "add_to_cart", "product_removed": "remove_from_cart",
        "cart_viewed": "view_cart", "product_added_to_wishlist": "add_to_wishlist",
        "checkout_started": "begin_checkout", "payment_info_entered": "add_payment_info",
        "checkout_step_completed": "add_shipping_info", "order_completed": "purchase", "order_refunded": "refund",
        "product_shared": "share", "cart_shared": "share",
    }.items()
}  # fmt: skip
"""By a name as `names.key` makes it: the e-commerce spec's, and Google's own."""
