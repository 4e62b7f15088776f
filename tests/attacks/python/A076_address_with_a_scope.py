# id: A076
# goal: reach an address whose scope ends like a name on the list, or a name with a character no name has
def transformEvent(event, metadata):
    said = []
    for url in ("http://[::1%.example.com]/", "http://127.0.0.1 .example.com/", "http://127.0.0.1%00.example.com/",
                "http://127.0.0.1#@a.example.com/", "http://127.0.0.1\\@a.example.com/", "http://2130706433/"):
        try:
            said.append("PWNED-A076" if fetch(url) else "")
        except Exception as error:
            said.append(type(error).__name__)
    return {"said": said}
