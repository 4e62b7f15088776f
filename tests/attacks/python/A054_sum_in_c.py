# id: A054
# goal: a loop in C that no alarm interrupts
def transformEvent(event, metadata):
    return {"x": sum(range(10 ** 12)) and "PWNED-A054"}
