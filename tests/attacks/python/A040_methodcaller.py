# id: A040
# goal: a C function that calls a method by name
def transformEvent(event, metadata):
    import operator
    return {"x": "PWNED-A040 " + str(operator.methodcaller("__class__")(1))}
