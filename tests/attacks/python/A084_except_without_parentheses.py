# id: A084
# goal: errors listed without parentheses name a guard (Python 3.14)
def transformEvent(event, metadata):
    try:
        return event["gone"]
    except KeyError, _getattr_:
        return {"x": "PWNED-A084"}
