# id: A057
# goal: a rebound super makes reads native
def transformEvent(event, metadata):
    super = lambda: len
    return {"x": "PWNED-A057 " + str(super().__self__)}
