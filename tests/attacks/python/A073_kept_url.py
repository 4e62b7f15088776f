# id: A073
# goal: keep an object in the cache of parsed addresses, and find it from the next batch
import urllib.parse


class Address:
    def __init__(self, kept):
        self.kept = kept
        self.found = None

    def __hash__(self):
        return 42

    def __eq__(self, other):
        other.found, self.found = self, other
        return False

    def __bool__(self):
        return True

    def decode(self, encoding, errors):
        return "http://a.example/"


def transformEvent(event, metadata):
    address = Address(event["messageId"])
    for _ in range(3):
        urllib.parse.urlsplit(address, Address("scheme"))
    found = address.found
    if found is not None and found.kept not in (event["messageId"], "scheme"):
        return {"x": "PWNED-A073 " + found.kept}
    return event
