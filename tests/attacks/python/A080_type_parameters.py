# id: A080
# goal: what a type parameter evaluates late runs in a scope of its own (Python 3.12 to 3.14)
def transformEvent(event, metadata):
    def kept[T: (event, metadata) = __import__](x: T) -> T:
        return x

    return {"x": "PWNED-A080 " + str(kept)}
