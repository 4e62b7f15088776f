"""Addresses of pages: parse_url(url), query(url), utm(url). What is no URL gives None, and never an error.

RFC 3986. `from turnout.url import utm`.
"""

import re
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

URL = re.compile(
    r"([a-z][a-z0-9+.-]*)://(?:([^/?#@]*)@)?([^/?#@]*)([^?#]*)(\?[^#]*)?(?:#(.*))?", re.IGNORECASE | re.DOTALL
)
PLACE = re.compile(r"(\[[0-9a-f:.]+\]|[^:]*)(?::(\d*))?", re.IGNORECASE)


def parse_url(url: Any) -> dict[str, Any] | None:
    """{protocol, username, host, hostname, port, path, search, query, fragment}; None for no absolute URL."""
    found = URL.fullmatch(str(url).strip())
    if found is None:
        return None
    protocol, user, host, path, search, fragment = found.groups("")
    place = PLACE.fullmatch(host)
    if place is None or (place.group(1) == "" and protocol.lower() != "file"):
        return None
    return {
        "protocol": protocol.lower(), "username": unquote_plus(user.split(":")[0]), "host": host.lower(),
        "hostname": place.group(1).lower(), "port": int(place.group(2)) if place.group(2) else None,
        "path": path or "/", "search": search, "query": query(search), "fragment": fragment,
    }  # fmt: skip


def query(url: Any) -> dict[str, str]:
    """The parameters of a URL, or of what stands behind its ?; the last one of a name counts."""
    text = "" if url is None else str(url)
    if "?" in text:
        search = text.partition("?")[2]
    else:
        search = "" if re.match(r"[a-z][a-z0-9+.-]*://", text, re.IGNORECASE) else text
    return dict(parse_qsl(search.split("#")[0], keep_blank_values=True))


def utm(url: Any) -> dict[str, str]:
    """The utm_ parameters of a URL without their prefix: {source, medium, campaign, term, content, id …}."""
    return {
        name[4:].lower(): value
        for name, value in query(url).items()
        if name[:4].lower() == "utm_" and len(name) > 4 and value
    }
