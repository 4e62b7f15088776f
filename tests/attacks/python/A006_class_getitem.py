# id: A006
# goal: a class that answers subscripts
def transformEvent(event, metadata):
    class Box:
        def __class_getitem__(cls, item):
            return "PWNED-A006"
    return {"x": Box[1]}
