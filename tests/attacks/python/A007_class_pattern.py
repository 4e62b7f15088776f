# id: A007
# goal: a class pattern reads attributes by name
def transformEvent(event, metadata):
    match event:
        case dict(__class__=kind):
            return {"x": "PWNED-A007 " + str(kind)}
