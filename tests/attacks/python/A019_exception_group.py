# id: A019
# goal: except* confuses types
def transformEvent(event, metadata):
    try:
        raise ValueError("x")
    except* ValueError as group:
        return {"x": "PWNED-A019 " + str(group)}
