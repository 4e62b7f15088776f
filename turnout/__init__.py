"""The vocabulary of Turnout, and its only public Python API.

No I/O, no event loop, no clock: an adapter written against these names runs in production, in
`turnout preview` and in tests alike.
"""

from turnout.destination import Context, Delivery, Destination, judge
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
from turnout.settings import Settings
from turnout.verdict import Outcome, Verdict, dead, delivered, filtered, pause, retry

__all__ = [
    "Checkpoint",
    "Context",
    "Delivery",
    "Destination",
    "Event",
    "Form",
    "Json",
    "JsonArray",
    "Kind",
    "Outcome",
    "Raw",
    "Record",
    "Request",
    "Response",
    "Settings",
    "Verdict",
    "Xml",
    "dead",
    "delivered",
    "filtered",
    "judge",
    "pause",
    "retry",
]
__version__ = "0.1.0"
