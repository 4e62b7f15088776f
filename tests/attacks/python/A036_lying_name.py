# id: A036
# goal: a str-like object as an attribute name
def transformEvent(event, metadata):
    class Name:
        def __str__(self):
            return "__class__"
        def __hash__(self):
            return hash("year")
        def __eq__(self, other):
            return True
    return {"x": "PWNED-A036 " + str(getattr((), Name()))}
