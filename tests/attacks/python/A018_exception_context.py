# id: A018
# goal: the chain of exceptions leads to frames
def transformEvent(event, metadata):
    try:
        try:
            1 / 0
        except ZeroDivisionError:
            raise ValueError("x")
    except ValueError as error:
        return {"x": "PWNED-A018 " + str(getattr(error, "__context__"))}
