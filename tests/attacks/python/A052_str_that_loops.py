# id: A052
# goal: an error whose text never comes
def transformEvent(event, metadata):
    class Bad(Exception):
        def __str__(self):
            while True:
                pass
    raise Bad()
