# id: A085
# goal: super() in a comprehension, which Python 3.12 runs in the function around it
def transformEvent(event, metadata):
    class Box:
        def look(self):
            return [super().__class__ for _ in "a"], [super().__init_subclass__ for _ in "a"]

    return {"x": "PWNED-A085 " + str(Box().look())}
