# id: A055
# goal: super() hands out a dunder
def transformEvent(event, metadata):
    class Box:
        def look(self):
            return super().__class__
    return {"x": "PWNED-A055 " + str(Box().look())}
