# id: A026
# goal: the frame behind a delegating generator
def transformEvent(event, metadata):
    def outer():
        yield from [1]
    g = outer()
    next(g)
    return {"x": "PWNED-A026 " + str(g.gi_yieldfrom)}
