# id: A075
# goal: be the hash function, the key and the message of an hmac, and be handed the host's objects
import hmac

seen = []


class Digest:
    block_size = 64
    digest_size = 16
    name = "mine"

    def __init__(self, *given):
        seen.extend(given)

    def update(self, given):
        seen.append(given)

    def copy(self):
        return self

    def digest(self):
        return b"d" * 16

    def new(self, *given):
        return Digest(*given)


def transformEvent(event, metadata):
    for how in (Digest, Digest(), "md4", "shake_128"):
        try:
            hmac.new(b"k" * 100, b"m", how)
            hmac.digest(b"k" * 100, b"m", how)
        except Exception as error:
            log(type(error).__name__)
    kinds = {type(one).__name__ for one in seen}
    return {"x": "PWNED-A075" if kinds - {"bytes", "bytearray", "str"} else "nothing"}
