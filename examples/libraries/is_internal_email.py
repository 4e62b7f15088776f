"""Says whether an e-mail address belongs to our own people."""

INTERNAL = ("example.org", "turnout.example")


def isInternalEmail(email):
    """True for an address at one of our own domains, in any case."""
    return isinstance(email, str) and email.strip().lower().endswith(tuple("@" + d for d in INTERNAL))
