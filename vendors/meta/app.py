"""`app_data`, which Meta wants with every event of a mobile app.

Source: https://developers.facebook.com/docs/marketing-api/conversions-api/parameters/app-data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from turnout.errors import Refused
from turnout.fields import finder, getter
from turnout.values import boolean
from vendors.meta.users import scalar

__all__ = ["app_data"]

_SYSTEMS: Final = {
    "android": "a2", "ios": "i2", "ipados": "i2", "iphone os": "i2", "tvos": "i2", "watchos": "i2",
}
_DEVICE: Final = tuple(getter(path) for path in (
    "context.app.namespace", "context.app.version", "context.app.build", "context.os.version",
    "context.device.model", "context.locale", "context.timezone_abbreviation", "context.network.carrier",
    "context.screen.width", "context.screen.height", "context.screen.density", "context.device.cpu_cores",
    "context.device.storage_size", "context.device.free_storage", "context.timezone",
))
"""Places 1 to 15 of `extinfo`; all are texts, and what is not known is an empty one."""
_system: Final = finder("context.device.type", "context.os.name")
_advertiser: Final = finder("properties.advertiser_tracking_enabled", "context.device.adTrackingEnabled")
_application: Final = finder("properties.application_tracking_enabled")
_status: Final = finder("context.device.attTrackingStatus")
_AUTHORISED: Final = 3
"""Apple's ATTrackingManager.AuthorizationStatus.authorized, as RudderStack's SDK tells it."""


def app_data(message: Mapping[str, Any]) -> dict[str, Any]:
    """Tracking permissions and the device; where nobody allowed an advertiser to track, that is 0.

    Raises `Refused` where the device is neither Apple's nor Android.
    """
    system = _system(message)
    version = _SYSTEMS.get(system.strip().lower()) if isinstance(system, str) else None
    if version is None:
        raise Refused("no_system", "an event of an app needs context.os.name or context.device.type: iOS or Android")
    allowed = _permission(_advertiser(message))
    if allowed is None:
        allowed = int(_status(message) == _AUTHORISED)
    made: dict[str, Any] = {
        "advertiser_tracking_enabled": allowed,
        "extinfo": [version, *(scalar(find(message)) for find in _DEVICE)],
    }
    if (said := _permission(_application(message))) is not None:
        made["application_tracking_enabled"] = said
    return made


def _permission(value: Any) -> int | None:
    said = {"0": False, "1": True}.get(scalar(value), boolean(value))
    return None if said is None else int(said)
