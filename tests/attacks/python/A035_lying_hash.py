# id: A035
# goal: a base class that lies about hash and equality
def transformEvent(event, metadata):
    class Liar:
        def __hash__(self):
            return hash(Exception)
        def __eq__(self, other):
            return True
    class Child(Liar()):
        pass
    return {"x": "PWNED-A035"}
