# id: A041
# goal: the mark of renamed names, typed by hand
def transformEvent(event, metadata):
    class Box:
        def __init__(self):
            self._secret = 1
    box = Box()
    return {"x": "PWNED-A041"} if hasattr(len, "self\u00b7\u00b7") else {"x": str(box.secret·)}
