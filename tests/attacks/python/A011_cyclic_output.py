# id: A011
# goal: an output that contains itself
def transformEvent(event, metadata):
    event["self"] = event
    return event
