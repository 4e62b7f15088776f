# id: A048
# goal: the getter inside a property
def transformEvent(event, metadata):
    class Box:
        @property
        def side(self):
            return 1
    return {"x": "PWNED-A048 " + str(Box.side.fget)}
