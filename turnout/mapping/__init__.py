"""Requests that people map themselves, in settings: where a value comes from, and where it goes.

    body = Body({"$.guest.id": "$.userId", "$.rooms[*].number": "$.properties.rooms[*].id"})
    body.made(message)   # {"guest": {"id": …}, "rooms": [{"number": …}, …]}
"""

from turnout.mapping.source import Source, source
from turnout.mapping.target import Body, name

__all__ = ["Body", "Source", "name", "source"]
