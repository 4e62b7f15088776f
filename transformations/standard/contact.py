"""E-mail addresses and phone numbers in the one form that tools match on. What is none gives None.

`from turnout.contact import normalize_email`. The same results as the JavaScript library of this name.
"""

import re
from typing import Any

EMAIL = re.compile(r"[^\s@<>,;:\"()\[\]\\]+@[^\s@<>,;:\"()\[\]\\.]+(?:\.[^\s@<>,;:\"()\[\]\\.]+)+")
CODES = {
    "AE": 971, "AR": 54, "AT": 43, "AU": 61, "BE": 32, "BG": 359, "BR": 55, "CA": 1, "CH": 41, "CL": 56, "CN": 86,
    "CO": 57, "CY": 357, "CZ": 420, "DE": 49, "DK": 45, "EE": 372, "EG": 20, "ES": 34, "FI": 358, "FR": 33, "GB": 44,
    "GR": 30, "HK": 852, "HR": 385, "HU": 36, "ID": 62, "IE": 353, "IL": 972, "IN": 91, "IS": 354, "IT": 39, "JP": 81,
    "KE": 254, "KR": 82, "LT": 370, "LU": 352, "LV": 371, "MA": 212, "MT": 356, "MX": 52, "MY": 60, "NG": 234,
    "NL": 31, "NO": 47, "NZ": 64, "PE": 51, "PH": 63, "PK": 92, "PL": 48, "PT": 351, "RO": 40, "RS": 381, "RU": 7,
    "SA": 966, "SE": 46, "SG": 65, "SI": 386, "SK": 421, "TH": 66, "TR": 90, "TW": 886, "UA": 380, "US": 1, "VN": 84,
    "ZA": 27,
}
"""ITU-T E.164, by ISO 3166 code."""
TRUNKS = {
    1: "1", 7: "8", 36: "06", 39: "", 34: "", 45: "", 47: "", 30: "", 351: "", 352: "", 356: "", 357: "", 354: "",
    371: "", 372: "", 420: "", 48: "", 52: "", 65: "", 852: "", 370: "0",
}
"""Where a national number begins with something else than one 0 that is left out abroad."""


def normalize_email(text: Any, gmail: bool = False) -> str | None:
    """Without blanks around it and in small letters; with `gmail` also without what Gmail passes over: dots
    and what follows a + in addresses of gmail.com and googlemail.com."""
    if not isinstance(text, str):
        return None
    email = re.sub("^mailto:", "", text.strip(), flags=re.IGNORECASE).lower()
    if len(email) > 254 or not EMAIL.fullmatch(email):
        return None
    name, _, domain = email.rpartition("@")
    if not gmail or domain not in ("gmail.com", "googlemail.com"):
        return email
    return name.split("+")[0].replace(".", "") + "@gmail.com"


def email_domain(text: Any) -> str | None:
    """What follows the @."""
    email = normalize_email(text)
    return email.rpartition("@")[2] if email else None


def normalize_phone(text: Any, country: Any = "") -> str | None:
    """+, country code and number (E.164); `country` is an ISO code (GB) or a calling code (44), for numbers
    without one."""
    if not isinstance(text, (str, int)) or isinstance(text, bool):
        return None
    given = re.sub("^tel:", "", str(text).strip(), flags=re.IGNORECASE)
    given = re.sub(r"(?:ext\.?|x|#|;).*$", "", given, flags=re.IGNORECASE).replace("(0)", "", 1)
    if not re.fullmatch(r"\+?[0-9\s()./-]+", given):
        return None
    digits = re.sub("[^0-9]", "", given)
    if given.startswith("+"):
        return checked(digits)
    if digits.startswith("00"):
        return checked(digits[2:])
    said = str(country).removeprefix("+")
    code = CODES.get(said.upper()) or (int(said) if re.fullmatch("[0-9]{1,3}", said) else 0)
    if not code:
        return None
    return checked(f"{code}{digits.removeprefix(TRUNKS.get(code, '0'))}")


def checked(digits: str) -> str | None:
    """A number of a length that there is."""
    return f"+{digits}" if re.fullmatch("[1-9][0-9]{6,14}", digits) else None
