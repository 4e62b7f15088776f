# id: A077
# goal: keep an object in the cache of hashes of fractions, which Python 3.14 makes of any ratio, and find it later
import fractions


class Number:
    def __init__(self, kept):
        self.kept = kept
        self.found = None

    def __hash__(self):
        return 42

    def __eq__(self, other):
        self.found, other.found = other, self
        return False

    def __ge__(self, other):
        return True


class Ratio:
    def __init__(self, number):
        self.number = number

    def as_integer_ratio(self):
        return self.number, 2 ** 61 - 1


def transformEvent(event, metadata):
    number = Number(event["messageId"])
    for make in (fractions.Fraction, getattr(fractions.Fraction, "from_number", fractions.Fraction)):
        try:
            hash(make(Ratio(number)))
        except TypeError:
            pass
    found = number.found
    if found is not None and found.kept != event["messageId"]:
        return {"x": "PWNED-A077 " + found.kept}
    return event
