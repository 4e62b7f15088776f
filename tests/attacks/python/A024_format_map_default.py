# id: A024
# goal: format_map with an object whose fields are attributes
def transformEvent(event, metadata):
    class Box:
        pass
    return {"x": "PWNED-A024 " + "{b.__init__.__globals__}".format_map({"b": Box()})}
