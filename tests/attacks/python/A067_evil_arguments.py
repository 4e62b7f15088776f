# id: A067
# goal: ask with objects whose code would run where the question is written
class Evil:
    def __str__(self):
        return "PWNED-A067"
    def __iter__(self):
        return iter(["PWNED-A067"])
    def keys(self):
        return ["url"]
    def __getitem__(self, key):
        return "PWNED-A067"


def transformEvent(event, metadata):
    said = []
    for ask in (lambda: fetch(Evil()), lambda: fetch("http://a.example", {"headers": {"X": Evil()}}),
                lambda: geolocation(Evil()), lambda: fetch("http://a.example", **{"body": Evil()})):
        try:
            said.append(ask())
        except Exception as error:
            said.append(type(error) is TypeError)
    return {"said": len(said)}
