# id: A027
# goal: a generator swallows the alarm when it is closed
def transformEvent(event, metadata):
    def g():
        while True:
            try:
                yield 1
            finally:
                pass
    return {"x": sum(x for x in g()) and "PWNED-A027"}
