# id: A068
# goal: ask a question so large that the pool must hold it
def transformEvent(event, metadata):
    try:
        fetch("http://a.example/", {"body": "x" * 60_000_000})
    except ValueError:
        return event
    return {"found": "PWNED-A068"}
