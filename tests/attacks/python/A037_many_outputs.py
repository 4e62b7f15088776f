# id: A037
# goal: more outputs than allowed
def transformEvent(event, metadata):
    return [{"x": "PWNED-A037"}] * 100_000
