# id: A066
# goal: stop the clock by asking again and again, in the middle of what the alarm interrupts
def transformEvent(event, metadata):
    n = 0
    while n < 10**9:
        try:
            n += 1
            fetch("http://a.example/" + str(n))
        except Exception:
            pass
        finally:
            continue
    return {"found": "PWNED-A066"}
