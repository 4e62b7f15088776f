# id: A078
# goal: a template string, whose parts are objects of the interpreter (Python 3.14)
def transformEvent(event, metadata):
    made = t"{event!r:>{metadata}}"
    return {"x": "PWNED-A078 " + str(made.interpolations[0])}
