# id: A021
# goal: finally swallows the alarm
def transformEvent(event, metadata):
    while True:
        try:
            while True:
                pass
        finally:
            continue
