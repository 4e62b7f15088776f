"""Hashes of text (as UTF-8) or bytes: sha256(text), sha256(text, "base64"), hmac("sha256", key, text).

`from turnout.hash import sha256`. The same results as the JavaScript library of this name.
"""

import base64
import hashlib
import hmac as standard
from typing import Any

ALGORITHMS = {"md5": hashlib.md5, "sha1": hashlib.sha1, "sha256": hashlib.sha256, "sha512": hashlib.sha512}


def md5(value: Any, encoding: str = "hex") -> Any:
    """32 hex digits; no protection of secrets."""
    return written(hashlib.md5(utf8(value)).digest(), encoding)  # noqa: S324 - what this function is for


def sha1(value: Any, encoding: str = "hex") -> Any:
    """40 hex digits; no protection of secrets."""
    return written(hashlib.sha1(utf8(value)).digest(), encoding)  # noqa: S324 - as above


def sha256(value: Any, encoding: str = "hex") -> Any:
    """64 hex digits."""
    return written(hashlib.sha256(utf8(value)).digest(), encoding)


def sha512(value: Any, encoding: str = "hex") -> Any:
    """128 hex digits."""
    return written(hashlib.sha512(utf8(value)).digest(), encoding)


def hmac(algorithm: str, key: Any, value: Any, encoding: str = "hex") -> Any:
    """A hash with a key: who has not the key cannot try likely values."""
    if algorithm not in ALGORITHMS:
        raise TypeError(f"hmac knows {', '.join(ALGORITHMS)}")
    return written(standard.new(utf8(key), utf8(value), algorithm).digest(), encoding)


def cyrb53(value: Any, seed: int = 0) -> int:
    """A number of 53 bits for sampling and buckets, no secret: cyrb53 (public domain, bryc)."""
    raw = str(value).encode("utf-16-le", "surrogatepass")
    high, low = (0xDEADBEEF ^ seed) & 0xFFFFFFFF, (0x41C6CE57 ^ seed) & 0xFFFFFFFF
    for at in range(0, len(raw), 2):
        code = raw[at] | raw[at + 1] << 8
        high = ((high ^ code) * 2654435761) & 0xFFFFFFFF
        low = ((low ^ code) * 1597334677) & 0xFFFFFFFF
    high = (((high ^ high >> 16) * 2246822507) ^ ((low ^ low >> 13) * 3266489909)) & 0xFFFFFFFF
    low = (((low ^ low >> 16) * 2246822507) ^ ((high ^ high >> 13) * 3266489909)) & 0xFFFFFFFF
    return 4294967296 * (2097151 & low) + high


def utf8(value: Any) -> bytes:
    """Bytes as they are, anything else as text."""
    if isinstance(value, bytes):
        return value
    if value is None:
        raise TypeError("there is no text: a value is None")
    return str(value).encode("utf-8", "replace")


def written(raw: bytes, encoding: str) -> Any:
    """As hex, base64 or bytes."""
    if encoding == "hex":
        return raw.hex()
    if encoding == "base64":
        return base64.b64encode(raw).decode()
    if encoding == "bytes":
        return raw
    raise TypeError(f"encoding is hex, base64 or bytes, not {encoding}")
