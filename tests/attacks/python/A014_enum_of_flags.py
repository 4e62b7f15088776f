# id: A014
# goal: the enum module behind a regex flag
def transformEvent(event, metadata):
    import re
    return {"x": "PWNED-A014 " + str(re.I.name) + str(type(re.I).mro)}
