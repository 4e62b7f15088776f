# id: A074
# goal: have the end of a generator run in a later batch, and ask or log there
def waiting(kept):
    try:
        yield 1
    finally:
        log("PWNED-A074" if kept != "1" and kept != "2" else "")
        fetch("https://a.example/")


def transformEvent(event, metadata):
    ring = [event["messageId"]]
    held = waiting(event["messageId"])
    ring.append(held)
    ring.append(ring)
    next(held)
    many = [[i] for i in range(200000)]
    return {"n": len(many)}
