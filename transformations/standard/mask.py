"""Personal data made unreadable: mask_email, mask_phone, mask_card, mask_ip, mask_text, redact, scrub.

`from turnout.mask import redact, scrub`. Where values must still be told apart, hash them: turnout.hash.
The same results as the JavaScript library of this name.
"""

import re
from typing import Any


def stars(count: int) -> str:
    """So many, within bounds."""
    return "*" * min(count, 64)


def mask_text(text: Any, first: int = 1, last: int = 0) -> str:
    """The first `first` and last `last` characters, and stars between them."""
    said = "" if text is None else str(text)
    if len(said) <= first + last:
        return stars(len(said))
    return said[:first] + stars(len(said) - first - last) + said[len(said) - last :]


def mask_email(email: Any) -> str:
    """a**@example.com; what is no address is masked whole."""
    name, at, domain = ("" if email is None else str(email)).rpartition("@")
    return mask_text(name) + at + domain if name else stars(len(at + domain))


def mask_phone(phone: Any, keep: int = 3) -> str:
    """Digits but the last `keep` become stars."""
    said = "" if phone is None else str(phone)
    left = len(re.sub("[^0-9]", "", said)) - keep
    made = ""
    for character in said:
        digit = character in "0123456789"
        made += "*" if digit and left > 0 else character
        left -= digit
    return made


def mask_card(card: Any) -> str:
    """The last four digits stay."""
    return mask_phone(card, 4)


def mask_ip(ip: Any) -> str:
    """203.0.113.7 → 203.0.113.0; of IPv6 the first three groups stay."""
    text = "" if ip is None else str(ip)
    if re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3}){3}", text):
        return re.sub(r"[0-9]+$", "0", text)
    if not re.fullmatch(r"[0-9a-fA-F:.]+", text) or ":" not in text:
        return ""
    head, short, tail = text.lower().partition("::")
    groups, rest = (part.split(":") if part else [] for part in (head, tail))
    whole = groups + (["0"] * max(0, 8 - len(groups) - len(rest)) if short else []) + rest
    return ":".join(whole[:3]) + "::"


def redact(value: Any, keys: Any, replacement: Any = "[redacted]") -> Any:
    """A copy in which the values of these keys, in whatever case and depth, are `replacement`."""
    hidden = {str(key).lower() for key in ([keys] if isinstance(keys, str) else keys)}

    def walk(node: Any) -> Any:
        if isinstance(node, list):
            return [walk(inner) for inner in node]
        if isinstance(node, dict):
            return {key: replacement if str(key).lower() in hidden else walk(inner) for key, inner in node.items()}
        return node

    return walk(value)


def luhn(digits: str) -> bool:
    """Whether these can be the digits of a card."""
    total = 0
    for i, digit in enumerate(reversed(digits)):
        number = int(digit) * (2 if i % 2 else 1)
        total += number - 9 if number > 9 else number
    return total % 10 == 0


def card(found: Any) -> str:
    """What stands for a number that may be one of a card."""
    text: str = found.group(0)
    return "[card]" if luhn(re.sub("[^0-9]", "", text)) else text


def scrub(value: Any) -> Any:
    """Text with e-mail addresses, card numbers and US social security numbers replaced; in a value, every text."""
    if isinstance(value, list):
        return [scrub(inner) for inner in value]
    if isinstance(value, dict):
        return {key: scrub(inner) for key, inner in value.items()}
    if not isinstance(value, str):
        return value
    text = re.sub(
        r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}@[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})+", "[email]", value,
        flags=re.IGNORECASE | re.ASCII,
    )  # fmt: skip
    text = re.sub(r"\b[0-9](?:[ -]?[0-9]){12,18}\b", card, text, flags=re.ASCII)
    return re.sub(r"\b[0-9]{3}-[0-9]{2}-[0-9]{4}\b", "[ssn]", text, flags=re.ASCII)
