# id: A071
# goal: get a table of the standard library as the argument of a method, and change it for later batches
import textwrap


class Text:
    def expandtabs(self, size):
        return self

    def translate(self, table):
        table[ord("a")] = "PWNED-A071"
        return "b"


def transformEvent(event, metadata):
    if event["messageId"] == "1":
        for function in (textwrap.wrap, textwrap.fill, textwrap.shorten, textwrap.dedent, textwrap.indent):
            try:
                function(Text(), 10)
            except Exception as error:
                log(str(error))
        return event
    return {"x": textwrap.fill("a b")}
