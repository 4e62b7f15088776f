"""Masks personal data before it leaves: an e-mail address becomes a hash with a key (one person stays one
person), names and numbers are hidden, addresses of the net are cut, free text is scrubbed."""

from turnout.contact import normalize_email
from turnout.hash import hmac
from turnout.mask import mask_ip, redact, scrub

HIDDEN = ("name", "firstName", "lastName", "phone", "birthday", "ssn", "address")


def masked(traits, key):
    email = normalize_email(traits.get("email"))
    hidden = redact(traits, HIDDEN)
    if "email" in hidden:
        hidden["email"] = hmac("sha256", key, email) if email else "[redacted]"
    return hidden


def transformEvent(event, metadata):
    key = getCredential("pii_key")
    if not key:
        raise ValueError("the credential pii_key is missing")
    context = event.get("context") or {}
    for place in (event, context):
        if place.get("traits"):
            place["traits"] = masked(place["traits"], key)
    for place, name in ((context, "ip"), (event, "request_ip")):
        if place.get(name):
            place[name] = mask_ip(place[name])
    if event.get("properties"):
        event["properties"] = scrub(event["properties"])
    return event
