# id: A082
# goal: a class names the function that makes its annotations (Python 3.14)
def transformEvent(event, metadata):
    class Typed:
        def __annotate_func__(format):
            return {"x": "PWNED-A082"}

    return {"x": "PWNED-A082 " + str(Typed)}
