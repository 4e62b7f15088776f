# id: A062
# goal: an assignment expression binds a guard
def transformEvent(event, metadata):
    if (_getattr_ := (lambda o, n: "PWNED-A062")):
        return {"x": event.anything}
