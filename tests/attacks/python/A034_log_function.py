# id: A034
# goal: the closure of log
def transformEvent(event, metadata):
    return {"x": "PWNED-A034 " + str(log.__closure__)}
