"""Undoing `Content-Encoding`, within bounds."""

from __future__ import annotations

from typing import cast

from isal import isal_zlib

from dataplane.gateway.replies import Rejected

__all__ = ["decoded"]

# isal's type hints call it a value; it is a class.
GZIP_ERROR = cast("type[Exception]", isal_zlib.error)
GZIP = 31  # window bits that make zlib read gzip members
MAGIC = b"\x1f\x8b"
MEMBER = MAGIC + b"\x08"
"""Starts a member that deflate made, the only kind there is."""
MOST = 1032
"""Most bytes that deflate makes of one (zlib.net, "Maximum Compression Factor")."""
MEMBERS = 64
"""Most gzip members in a body; each costs a copy of the rest, so a body of tiny ones is refused."""


def decoded(body: bytes, encoding: str, limit: int, oversize: int) -> bytes:
    """The body without its `Content-Encoding`.

    `limit` bounds the output in bytes, however little was sent; above it the answer is `oversize`.
    Raises `Rejected`: 400 for damaged gzip, 415 for an encoding that is not taken.
    """
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return body
    if name not in ("gzip", "x-gzip"):
        raise Rejected(415, "unsupported_encoding", "send the body as gzip or without Content-Encoding")
    try:
        plain = _whole(body) if len(body) * MOST <= limit else None
        return _gunzip(body, limit, oversize) if plain is None else plain
    except GZIP_ERROR:
        raise Rejected(400, "invalid_gzip", "the body is not valid gzip") from None


def _whole(body: bytes) -> bytes | None:
    """A body of one member in one call, which is a third faster and has no bound; None where it is another."""
    if not body.startswith(MEMBER) or body.find(MEMBER, 1) >= 0:
        return None
    size = int.from_bytes(body[-4:], "little")  # RFC 1952 ISIZE; a lie costs nothing but the fast way
    try:
        # Room for all of it at once, which saves a quarter: never more than deflate could make of the body.
        plain: bytes = isal_zlib.decompress(body, GZIP, max(1, min(size, len(body) * MOST)))
    except GZIP_ERROR:
        return None  # the slow way says what is wrong
    return plain if size == len(plain) else None  # else something follows


def _gunzip(body: bytes, limit: int, oversize: int) -> bytes:
    parts: list[bytes] = []
    room = limit
    rest = body
    while rest:
        if len(parts) == MEMBERS:
            raise Rejected(400, "invalid_gzip", f"the body has more than {MEMBERS} gzip members")
        if not rest.startswith(MAGIC):
            if parts and not rest.strip(b"\0"):
                break  # padding (RFC 1952 leaves it to the reader; gzip itself skips it)
            raise Rejected(400, "invalid_gzip", "the body is not valid gzip")
        stream = isal_zlib.decompressobj(GZIP)
        part = stream.decompress(rest, room + 1)
        if len(part) > room:
            raise Rejected(oversize, "body_too_large", f"the body is larger than {limit} bytes after gzip")
        if not stream.eof:
            raise Rejected(400, "invalid_gzip", "the gzip body ends too early")
        parts.append(part)
        room -= len(part)
        rest = stream.unused_data
    if not parts:
        raise Rejected(400, "invalid_gzip", "the gzip body is empty")
    return parts[0] if len(parts) == 1 else b"".join(parts)
