# id: A042
# goal: a constant that the compiler folds
X = ((("a" * 4096) * 4096) * 4096) * 4096
def transformEvent(event, metadata):
    return {"x": "PWNED-A042"}
