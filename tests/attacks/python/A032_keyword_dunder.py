# id: A032
# goal: dunders through keyword arguments
def transformEvent(event, metadata):
    class Box:
        def __init__(self, **kwargs):
            for key in kwargs:
                setattr(self, key, kwargs[key])
    box = Box(**{"__class__": dict})
    return {"x": "PWNED-A032"}
