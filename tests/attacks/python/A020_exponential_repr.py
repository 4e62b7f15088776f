# id: A020
# goal: a small value with a huge text
def transformEvent(event, metadata):
    value = []
    for _ in range(60):
        value = [value, value]
    return {"x": "PWNED-A020" + str(value)}
