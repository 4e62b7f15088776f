# id: A008
# goal: a codec name that is a module to import
def transformEvent(event, metadata):
    return {"x": "PWNED-A008 " + str(b"x".decode("os"))}
