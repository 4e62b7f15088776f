# id: A017
# goal: an exception bound to a guard name
def transformEvent(event, metadata):
    try:
        1 / 0
    except ZeroDivisionError as _write_:
        return {"x": "PWNED-A017"}
