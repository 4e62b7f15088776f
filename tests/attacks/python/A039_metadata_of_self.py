# id: A039
# goal: the object behind metadata
def transformEvent(event, metadata):
    return {"x": "PWNED-A039 " + str(getattr(metadata, "__self__", metadata.__closure__))}
