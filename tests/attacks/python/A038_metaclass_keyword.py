# id: A038
# goal: a metaclass of the script
def transformEvent(event, metadata):
    class Child(metaclass=type):
        pass
    return {"x": "PWNED-A038 " + str(Child)}
