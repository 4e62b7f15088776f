# id: A083
# goal: memory that something else had, through a bytearray made longer (Python 3.14)
def transformEvent(event, metadata):
    for size in (1_000, 100_000, 4_000_000):
        used = [bytearray(b"\xaa") * size for _ in range(4)]
        del used
        seen = bytearray(1)
        seen.resize(size)
        if any(seen):
            return {"x": "PWNED-A083"}
        seen.resize(1)
        seen.resize(2)
        if any(seen):
            return {"x": "PWNED-A083"}
    return event
