# id: A058
# goal: an exception class that ends the process
def transformEvent(event, metadata):
    for kind in (type(error) for error in (KeyboardInterrupt(), SystemExit())):
        raise kind("PWNED-A058")
