# id: A015
# goal: an error whose text is enormous
def transformEvent(event, metadata):
    raise ValueError("PWNED-A015" * 40_000_000)
