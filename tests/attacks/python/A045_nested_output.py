# id: A045
# goal: an output nested beyond every limit
def transformEvent(event, metadata):
    value = []
    for _ in range(100_000):
        value = [value]
    return {"x": value}
