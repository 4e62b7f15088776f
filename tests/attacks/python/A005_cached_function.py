# id: A005
# goal: the function inside a cache
def transformEvent(event, metadata):
    import functools
    @functools.lru_cache
    def f(x):
        return x
    return {"x": "PWNED-A005 " + str(f.cache_parameters) + str(f.__wrapped__)}
