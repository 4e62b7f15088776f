# id: A028
# goal: an output far above the limit
def transformEvent(event, metadata):
    return {"x": "PWNED-A028" * 50_000_000}
