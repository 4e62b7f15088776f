# id: A065
# goal: reach what is behind the functions that ask: their globals, closures, code
def transformEvent(event, metadata):
    found = []
    for function in (fetch, fetchV2, geolocation, getCredential, log):
        for name in ("__globals__", "__closure__", "__code__", "__self__", "__kwdefaults__", "__wrapped__"):
            for way in ("{0." + name + "}", "{0[" + name + "]}"):
                try:
                    found.append("PWNED-A065" + way.format(function))
                except Exception as error:
                    log(str(error))
    return {"found": found}
