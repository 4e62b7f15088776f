# id: A025
# goal: output that looks like the end of a reply
def transformEvent(event, metadata):
    return {"x": "\x00\x00\x00\x00}{\"y\": \"" + "clean" * 3}
