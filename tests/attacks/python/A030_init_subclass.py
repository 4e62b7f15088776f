# id: A030
# goal: a hook that runs with the new class
def transformEvent(event, metadata):
    class Base:
        def __init_subclass__(cls):
            cls.mark = "PWNED-A030"
    class Child(Base):
        pass
    return {"x": Child.mark}
