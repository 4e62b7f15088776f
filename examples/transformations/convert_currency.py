"""Adds the amount in euros, by a table that is kept in git: a replay gives the same numbers as the first time."""

import math

EUROS = {"EUR": 1, "USD": 0.92, "GBP": 1.17, "CHF": 1.05, "JPY": 0.0061}
AMOUNTS = ("revenue", "total", "value")


def transformEvent(event, metadata):
    properties = event.get("properties") or {}
    amount = next((properties[name] for name in AMOUNTS if properties.get(name) is not None), None)
    if amount is None:
        return event
    code = str(properties.get("currency") or "EUR").upper()
    if code not in EUROS:
        raise ValueError(f"there is no rate for {code}")
    try:
        number = float(amount)
    except ValueError:
        raise ValueError(f"{amount} is no amount") from None
    properties["value_eur"] = math.floor(number * EUROS[code] * 100 + 0.5) / 100
    return event
