# id: A033
# goal: a script rewrites a library that others import
import mylib
mylib.DOMAINS.clear()
def transformEvent(event, metadata):
    mylib.DOMAINS.append("PWNED-A033")
    return {"x": "clean"}
