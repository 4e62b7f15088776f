# id: A053
# goal: an error whose text raises
def transformEvent(event, metadata):
    class Bad(Exception):
        def __str__(self):
            raise Bad()
    raise Bad()
