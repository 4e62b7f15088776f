# id: A072
# goal: have the encoder read memory as a number's that is none
import uuid


def transformEvent(event, metadata):
    for value in (2e-323, "x" * 40, [1, 2]):
        try:
            return {"x": "PWNED-A072", "read": uuid.UUID(int=value)}
        except TypeError as error:
            log(str(error))
    return {"made": uuid.UUID(int=7), "again": type(uuid.uuid4())(int=8)}
