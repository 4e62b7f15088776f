# id: A016
# goal: objects that change what they are compared with
def transformEvent(event, metadata):
    seen = []
    class Odd:
        def __lt__(self, other):
            seen.append(other)
            seen.clear()
            return True
    sorted([Odd() for _ in range(50)])
    return {"x": "clean"}
