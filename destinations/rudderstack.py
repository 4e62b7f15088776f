"""RudderStack's names for our destinations: to read its configurations, and cases written in its terms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from destinations import registry
from turnout.errors import Fixable

__all__ = ["ACCOUNTS", "CONSTANTS", "NAMES", "Chosen", "ours", "slug_of"]


class Chosen(NamedTuple):
    """What a peer's constant or definition means here: some settings, some fields of `Delivery`."""

    settings: Mapping[str, Any] = {}
    delivery: Mapping[str, Any] = {}


_GA4: Mapping[str, Any] = {"fit_limits": False, "pii_properties_to_ignore": [], "whole_seconds": True}
_META: Mapping[str, Any] = {"name_rules": "rudderstack", "bare_standard_events": False, "trust_hashed": True}
_SALESFORCE: Mapping[str, Any] = {
    "api_version": "50.0", "collections": False, "lookup": "search", "placeholders": "always", "use_contact_id": False,
}
NAMES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "AM": (
        "amplitude", {"enhanced_user_operations": False, "context_places": False, "library": "rudderstack"},
    ),
    "BRAZE": ("braze", {
        "alias_label": "rudder_id", "group_prefix": "ab_rudder_group_", "partner": "RudderStack",
        "use_ecommerce_recommended_events": False,
    }),
    "CUSTOMERIO": ("customerio", {"deduplicate": False}),
    "CUSTOMERIO_AUDIENCE": ("customerio_audience", {}),
    "DISCORD": ("discord", {"mentions": True}),
    "FACEBOOK_CONVERSIONS": ("facebook_conversions", _META),
    "FACEBOOK_PIXEL": ("facebook_pixel", _META),
    "GA4": ("ga4", _GA4),
    "GA4_V2": ("ga4", _GA4),
    "GOOGLE_ADWORDS_ENHANCED_CONVERSIONS": ("google_enhanced_conversions", {}),
    "GOOGLE_ADWORDS_OFFLINE_CONVERSIONS": ("google_offline_conversions", {"hash_form": "rudderstack"}),
    "HS": ("hubspot", {"api": "legacy", "authorization": "api_key", "event_ids": False}),
    "HTTP": ("http", {"is_default_mapping": False}),
    "INTERCOM": ("intercom", {}),
    "INTERCOM_V2": ("intercom", {"match": "email"}),
    "KAFKA": ("kafka", {}),
    "KLAVIYO": ("klaviyo", {"api_version": "v1", "normalize_phones": False, "update_created": True}),
    "MP": ("mixpanel", {
        "identity_merge_api": "original", "max_age": "1826d", "strict_mode": False, "use_new_mapping": False,
    }),
    "POSTHOG": ("posthog", {
        "host": "https://app.posthog.com", "rudderstack_fields": True, "use_v2_group": False,
    }),
    "REDIS": ("redis", {"cluster_mode": True}),
    "S3": ("s3", {}),
    "SALESFORCE": ("salesforce", _SALESFORCE),
    "SALESFORCE_OAUTH": ("salesforce", _SALESFORCE),
    "SALESFORCE_OAUTH_SANDBOX": ("salesforce", {**_SALESFORCE, "sandbox": True}),
    "SEGMENT": ("segment", {"rudderstack_fields": True}),
    "SLACK": ("slack", {
        "username": "RudderStack", "icon_url": "https://cdn.rudderlabs.com/rudderstack.png",
    }),
    "WEBHOOK": ("webhook", {"idempotency_key": False}),
}
"""The peer's definition name, and ours with the settings that its name stands for where they are not given."""


ACCOUNTS: Mapping[str, tuple[str, ...]] = {
    "SALESFORCE": (), "SALESFORCE_OAUTH": ("access_token", "instance_url"),
    "SALESFORCE_OAUTH_SANDBOX": ("access_token", "instance_url"),
}
"""By the peer's definition name, which of our settings an account that the peer keeps has to give: () where the
settings themselves have the credentials. A definition that is not here takes what there is."""


def _customerio_api(workspaces: Any) -> Chosen:
    """RudderStack names the workspaces that have its batches, or ALL of them."""
    return Chosen({"api": "v2" if str(workspaces).strip().upper() not in ("", "NONE") else "v1"})


CONSTANTS: Mapping[str, Mapping[str, Callable[[Any], Chosen]]] = {
    "customerio": {"CUSTOMERIO_BATCHING_FRAMEWORK_ENABLED_WORKSPACE_IDS": _customerio_api},
    "customerio_audience": {"MAX_ITEMS": lambda most: Chosen(delivery={"batch": most})},
}
"""By our slug and the peer's constant or switch: what a value of it chooses."""


def ours(name: str) -> str | None:
    """Our slug for a name of the peer's, in any case, where the destination is installed."""
    found = NAMES.get(name.upper())
    return found[0] if found is not None and found[0] in registry.slugs() else None


def slug_of(name: str) -> tuple[str, Mapping[str, Any]]:
    """Our slug for a `type`, ours or the peer's in any case, and the settings that the name implies.

    Raises `Fixable` for an unknown one, with a did-you-mean.
    """
    if name in registry.slugs():
        return name, {}
    if ours(name):
        return NAMES[name.upper()]
    if name.lower() in registry.slugs():
        return name.lower(), {}
    registry.find(name)  # raises, and says what there is
    raise Fixable(f"{name}: unknown destination type")
