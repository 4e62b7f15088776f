"""The vocabulary of Turnout, and its only public Python API.

No I/O, no event loop, no clock: an adapter written against these names runs in production, in
`turnout preview` and in tests alike. Names are loaded on first use, so that `import turnout.errors`
(a command line's `--help`) does not pay for pydantic.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from turnout.auth import Auth, Basic, Bearer, Header, Login, OAuth2, Query, SigV4
    from turnout.destination import Client, Context, Delivery, Destination, judge
    from turnout.event import Event, Kind
    from turnout.request import (
        Checkpoint,
        Form,
        Json,
        JsonArray,
        Raw,
        Record,
        Request,
        Response,
        Xml,
    )
    from turnout.rules import Rule, decide_item, per_item
    from turnout.settings import Duration, HookUrl, Names, Pairs, SecretUrl, Settings, Size
    from turnout.user import User
    from turnout.verdict import Outcome, Verdict, dead, delivered, filtered, pause, retry

__all__ = [
    "Auth",
    "Basic",
    "Bearer",
    "Checkpoint",
    "Client",
    "Context",
    "Delivery",
    "Destination",
    "Duration",
    "Event",
    "Form",
    "Header",
    "HookUrl",
    "Json",
    "JsonArray",
    "Kind",
    "Login",
    "Names",
    "OAuth2",
    "Outcome",
    "Pairs",
    "Query",
    "Raw",
    "Record",
    "Request",
    "Response",
    "Rule",
    "SecretUrl",
    "Settings",
    "SigV4",
    "Size",
    "User",
    "Verdict",
    "Xml",
    "dead",
    "decide_item",
    "delivered",
    "filtered",
    "judge",
    "pause",
    "per_item",
    "retry",
]
__version__ = "0.1.0"

_HOMES = {
    "auth": ("Auth", "Basic", "Bearer", "Header", "Login", "OAuth2", "Query", "SigV4"),
    "destination": ("Client", "Context", "Delivery", "Destination", "judge"),
    "event": ("Event", "Kind"),
    "request": ("Checkpoint", "Form", "Json", "JsonArray", "Raw", "Record", "Request", "Response", "Xml"),
    "rules": ("Rule", "decide_item", "per_item"),
    "settings": ("Duration", "HookUrl", "Names", "Pairs", "SecretUrl", "Settings", "Size"),
    "user": ("User",),
    "verdict": ("Outcome", "Verdict", "dead", "delivered", "filtered", "pause", "retry"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'turnout' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"turnout.{_HOME[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
