# id: A086
# goal: a class that hands out memory as its own (Python 3.12)
import hashlib


def transformEvent(event, metadata):
    class Lent:
        def __buffer__(self, flags):
            return hashlib

        def __release_buffer__(self, view):
            return view

    return {"x": "PWNED-A086 " + hashlib.sha256(Lent()).hexdigest()}
