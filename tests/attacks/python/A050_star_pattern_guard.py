# id: A050
# goal: a star pattern binds a guard
def transformEvent(event, metadata):
    match [1, 2]:
        case [1, *_write_]:
            return {"x": "PWNED-A050"}
