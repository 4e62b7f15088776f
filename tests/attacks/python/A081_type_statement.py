# id: A081
# goal: a type statement makes an object whose value is evaluated by the interpreter (Python 3.12)
def transformEvent(event, metadata):
    type Leak = (lambda: __builtins__)
    return {"x": "PWNED-A081 " + str(Leak.__value__)}
