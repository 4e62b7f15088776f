# id: A064
# goal: a time zone that is a path
def transformEvent(event, metadata):
    from zoneinfo import ZoneInfo
    return {"x": "PWNED-A064 " + str(ZoneInfo("../../../../etc/passwd"))}
