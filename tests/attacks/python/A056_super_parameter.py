# id: A056
# goal: a parameter called super
def transformEvent(event, metadata):
    def f(super):
        return super().copy
    return {"x": "PWNED-A056 " + str(f(dict))}
