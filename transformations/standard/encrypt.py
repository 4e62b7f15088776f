"""Encryption of values with AES: encrypt(text, key), decrypt(data, key), encrypt_cbc, decrypt_cbc.

FIPS 197, SP 800-38A and 38D. `from turnout.encrypt import encrypt`. The same data as the JavaScript
library of this name makes: base64 of nonce, encrypted text and, for GCM, tag.

A script has no source of chance: a retry makes the same events. So the nonce is derived from key and
text: equal texts are equal encrypted (and can be joined on), and no nonce is used for two texts.
"""

import base64
import hashlib
import hmac
import re
from typing import Any


def double(x: int) -> int:
    """Times two in the field of FIPS 197, 4.2."""
    return (x << 1 ^ (0x11B if x & 0x80 else 0)) & 0xFF


def box() -> list[int]:
    """Bytes and what replaces them: every power of 3 with its inverse, then the affine step."""
    made = [0x63] * 256
    power = inverse = 1
    while True:
        power ^= double(power)
        inverse ^= inverse << 1
        inverse ^= inverse << 2
        inverse = (inverse ^ inverse << 4) & 0xFF
        if inverse & 0x80:
            inverse ^= 0x09
        x = inverse | inverse << 8
        made[power] = (inverse ^ x >> 7 ^ x >> 6 ^ x >> 5 ^ x >> 4 ^ 0x63) & 0xFF
        if power == 1:
            return made


BOX = box()
UNBOX = [BOX.index(i) for i in range(256)]
TWICE = [double(i) for i in range(256)]


def key_bytes(key: Any) -> bytes:
    """The bytes of a key given in hex or base64."""
    given = b""
    if isinstance(key, bytes):
        given = key
    elif isinstance(key, str) and re.fullmatch("(?:[0-9a-fA-F]{32}|[0-9a-fA-F]{48}|[0-9a-fA-F]{64})", key):
        given = bytes.fromhex(key)
    elif isinstance(key, str) and re.fullmatch("[A-Za-z0-9+/]+={0,2}", key) and len(key) % 4 == 0:
        given = base64.b64decode(key)
    if len(given) not in (16, 24, 32):
        raise TypeError("an AES key is 16, 24 or 32 bytes, in hex or base64")
    return given


def expanded(key: bytes) -> list[int]:
    """The keys of all rounds."""
    made = list(key)
    words, constant = len(key) // 4, 1
    for number in range(words, 4 * (words + 7)):
        last = made[-4:]
        if number % words == 0:
            last = [BOX[last[1]] ^ constant, BOX[last[2]], BOX[last[3]], BOX[last[0]]]
            constant = double(constant)
        elif words > 6 and number % words == 4:
            last = [BOX[byte] for byte in last]
        made.extend([made[len(made) - len(key) + i] ^ last[i] for i in range(4)])
    return made


def sealed(keys: list[int], block: Any) -> list[int]:
    """A block of 16 bytes, encrypted."""
    state = [block[i] ^ keys[i] for i in range(16)]
    for at in range(16, len(keys), 16):
        moved = [BOX[state[(i + 4 * (i & 3)) & 15]] for i in range(16)]
        if at + 16 < len(keys):
            moved = mixed(moved)
        state = [moved[i] ^ keys[at + i] for i in range(16)]
    return state


def mixed(state: list[int]) -> list[int]:
    """The columns mixed."""
    made: list[int] = []
    for column in range(0, 16, 4):
        a, b, c, d = state[column : column + 4]
        every = a ^ b ^ c ^ d
        made.extend((
            a ^ every ^ TWICE[a ^ b], b ^ every ^ TWICE[b ^ c], c ^ every ^ TWICE[c ^ d], d ^ every ^ TWICE[d ^ a],
        ))  # fmt: skip
    return made


def opened(keys: list[int], block: Any) -> list[int]:
    """A block of 16 bytes, decrypted."""
    state = [block[i] ^ keys[len(keys) - 16 + i] for i in range(16)]
    for at in range(len(keys) - 32, -1, -16):
        moved = [0] * 16
        for i in range(16):
            moved[(i + 4 * (i & 3)) & 15] = UNBOX[state[i]]
        state = [moved[i] ^ keys[at + i] for i in range(16)]
        if at:
            state = mixed(mixed(mixed(state)))  # the mixing is its own inverse, three times over
    return state


def counted(keys: list[int], nonce: bytes, data: bytes) -> bytes:
    """The data under the stream of the counter, from 2."""
    made: list[int] = []
    for at in range(0, len(data), 16):
        stream = sealed(keys, nonce + (at // 16 + 2).to_bytes(4, "big"))
        made.extend([byte ^ mask for byte, mask in zip(data[at : at + 16], stream, strict=False)])
    return bytes(made)


def multiplied(x: int, y: int) -> int:
    """In GF(2^128) as SP 800-38D, 6.3: the first bit is the highest."""
    made = 0
    for place in range(127, -1, -1):
        if x >> place & 1:
            made ^= y
        y = y >> 1 ^ (0xE1 << 120 if y & 1 else 0)
    return made


def tag(keys: list[int], nonce: bytes, data: bytes) -> bytes:
    """16 bytes that nobody makes without the key."""
    secret = int.from_bytes(bytes(sealed(keys, bytes(16))), "big")
    whole = data + bytes(-len(data) % 16) + (len(data) * 8).to_bytes(16, "big")
    total = 0
    for at in range(0, len(whole), 16):
        total = multiplied(total ^ int.from_bytes(whole[at : at + 16], "big"), secret)
    first = bytes(sealed(keys, nonce + (1).to_bytes(4, "big")))
    return (total ^ int.from_bytes(first, "big")).to_bytes(16, "big")


def utf8(value: Any) -> bytes:
    """The value as text in UTF-8."""
    if value is None:
        raise TypeError("there is no text: a value is None")
    return str(value).encode("utf-8", "replace")


def encrypt(value: Any, key: Any) -> str:
    """AES-GCM; base64 of nonce (12 bytes), encrypted text and tag (16 bytes)."""
    secret, data = key_bytes(key), utf8(value)
    keys = expanded(secret)
    nonce = hmac.new(secret, b"turnout gcm\0" + data, hashlib.sha256).digest()[:12]
    hidden = counted(keys, nonce, data)
    return base64.b64encode(nonce + hidden + tag(keys, nonce, hidden)).decode()


def decrypt(value: str, key: Any) -> str:
    """The text; ValueError where the data was changed or the key is another."""
    keys, data = expanded(key_bytes(key)), base64.b64decode(value)
    if len(data) < 28:
        raise ValueError("decrypt: the data is too short")
    nonce, hidden = data[:12], data[12:-16]
    if not hmac.compare_digest(tag(keys, nonce, hidden), data[-16:]):
        raise ValueError("decrypt: the data was changed, or the key is another")
    return counted(keys, nonce, hidden).decode()


def encrypt_cbc(value: Any, key: Any) -> str:
    """AES-CBC with PKCS #7 padding; base64 of IV (16 bytes) and text. It does not notice changes: prefer GCM."""
    secret, data = key_bytes(key), utf8(value)
    keys, over = expanded(secret), 16 - len(data) % 16
    last = hmac.new(secret, b"turnout cbc\0" + data, hashlib.sha256).digest()[:16]
    data, made = data + bytes([over]) * over, last
    for at in range(0, len(data), 16):
        last = bytes(sealed(keys, [byte ^ mask for byte, mask in zip(data[at : at + 16], last, strict=True)]))
        made += last
    return base64.b64encode(made).decode()


def decrypt_cbc(value: str, key: Any) -> str:
    """The text; ValueError where it cannot be had."""
    keys, data = expanded(key_bytes(key)), base64.b64decode(value)
    if len(data) < 32 or len(data) % 16:
        raise ValueError("decrypt_cbc: the data is no IV and whole blocks")
    made: list[int] = []
    for at in range(16, len(data), 16):
        block = opened(keys, data[at : at + 16])
        made.extend([byte ^ mask for byte, mask in zip(block, data[at - 16 : at], strict=True)])
    over = made[-1]
    if not 1 <= over <= 16 or made[-over:] != [over] * over:
        raise ValueError("decrypt_cbc: the data was changed, or the key is another")
    return bytes(made[:-over]).decode()
