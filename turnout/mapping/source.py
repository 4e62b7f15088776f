"""Where a mapping's value comes from: a path, a constant, a text with places, or several of them.

    $.traits.email || $.context.traits.email || 'nobody'
    'room ' + $.properties.room
    Booked by {{traits.name}}
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from turnout import values
from turnout.mapping.jsonpath import Step, defined, look, read
from turnout.templates import Template

__all__ = ["Source", "source"]


class Source(NamedTuple):
    """How a value is found in a message; `constant` is it where no message is needed (and `written` how a number was
    written), `levels` how many lists deep a path with `*` finds it."""

    find: Callable[[Any], Any]
    constant: Any = None
    levels: int = 0
    written: str = ""


_TOKEN = re.compile(
    r"\s*(?:'(?P<single>(?:[^'\\]|\\.)*)'|\"(?P<double>(?:[^\"\\]|\\.)*)\""
    r"|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![\w.])|(?P<word>true|false|null)\b"
    r"|(?P<op>\|\||\?\?|\+)|(?P<paren>[()])|(?P<path>\$))"
)
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")
_WORDS = {"true": True, "false": False, "null": None}
DEEPEST = 20


def source(text: str) -> Source:
    """Read a mapping's `from`; raises ValueError, with a sentence, where it cannot be meant."""
    text = text.strip()
    if "{{" in text:
        return Source(Template(re.sub(r"(\{\{\{?[#^/&~]*\s*(?:\w+\s+)?)\$\.", r"\1", text)).render)
    expression = text[:1] in ("$", "'", '"', "(") or _NUMBER.fullmatch(text) or text in _WORDS
    if not expression and not ("$" in text and re.search(r"\|\||\?\?|\+", text)):
        if "$." in text:
            raise ValueError(f"{_cut(text)}: a path inside of a text is written {{{{name}}}}")
        return _constant(text)
    reader = _Reader(text)
    made = reader.choices(0)
    if _NUMBER.fullmatch(text):
        return made._replace(written=text)
    if reader.place < len(text):
        raise ValueError(f"{_cut(text)}: not understood from {_cut(text[reader.place:].strip())!r} on{reader.hint()}")
    return made


def _constant(value: Any) -> Source:
    return Source(lambda _: value, value)


class _Reader:
    """One expression, read from left to right."""

    def __init__(self, text: str) -> None:
        self.text, self.place = text.rstrip(), 0

    def choices(self, depth: int) -> Source:
        """`a || b ?? c`: the first that holds something."""
        if depth > DEEPEST:
            raise ValueError(f"parentheses may be {DEEPEST} deep")
        found = [(("??"), self.sum(depth))]
        while (operator := self.operator("||", "??")) is not None:
            found.append((operator, self.sum(depth)))
        if len(found) == 1:
            return found[0][1]
        return Source(_first([(found[i + 1][0] if i + 1 < len(found) else "??", one.find)
                              for i, (_, one) in enumerate(found)]))

    def sum(self, depth: int) -> Source:
        """`a + b`: numbers are added, everything else is text."""
        parts = [self.operand(depth)]
        while self.operator("+") is not None:
            parts.append(self.operand(depth))
        return parts[0] if len(parts) == 1 else Source(_joined([one.find for one in parts]))

    def operand(self, depth: int) -> Source:
        token = _TOKEN.match(self.text, self.place)
        if token is None or token["op"] or token["paren"] == ")":
            raise ValueError(f"{_cut(self.text)}: a path ($.name), a number or a 'text' is expected{self.hint()}")
        if token["path"]:
            steps, self.place = read(self.text, token.end() - 1)
            return _path(steps)
        self.place = token.end()
        if token["paren"]:
            made = self.choices(depth + 1)
            closing = _TOKEN.match(self.text, self.place)
            if closing is None or closing["paren"] != ")":
                raise ValueError(f"{_cut(self.text)}: a parenthesis is not closed")
            self.place = closing.end()
            return made
        if token["word"]:
            return _constant(_WORDS[token["word"]])
        if token["number"]:
            return _constant(values.number(token["number"]))
        quoted = token["single"] if token["single"] is not None else token["double"]
        return _constant(re.sub(r"\\(.)", r"\1", quoted))

    def operator(self, *wanted: str) -> str | None:
        token = _TOKEN.match(self.text, self.place)
        if token is None or token["op"] not in wanted:
            return None
        self.place = token.end()
        return token["op"]

    def hint(self) -> str:
        """What to do where it stops at something that JSONPath has and mappings have not."""
        rest = self.text[self.place:].lstrip()
        return "; filters and functions are for a transformation" if rest[:1] in ("[", ".", "(") else ""


def _path(steps: tuple[Step, ...]) -> Source:
    if not steps:
        return Source(lambda message: message)
    if len(steps) == 1 and isinstance(steps[0], str):
        (name,) = steps
        return Source(lambda message: message.get(name))
    levels = 0 if defined(steps) else sum(not isinstance(step, str | int) for step in steps)
    return Source(lambda message: look(message, steps), None, levels)


def _first(choices: Sequence[tuple[str, Callable[[Any], Any]]]) -> Callable[[Any], Any]:
    """`||` goes on at what is empty, false or 0, `??` at what is not there: as JavaScript has them."""

    def find(message: Any) -> Any:
        value = None
        for operator, one in choices:
            value = one(message)
            if value if operator == "||" else value is not None:
                return value
        return value

    return find


def _joined(parts: Sequence[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    def find(message: Any) -> Any:
        found = [one(message) for one in parts]
        if all(isinstance(one, int | float) and not isinstance(one, bool) for one in found):
            return values.number(sum(map(float, found))) if any(isinstance(one, float) for one in found) else sum(found)
        return "".join([values.text(one) or "" for one in found])

    return find


def _cut(text: str) -> str:
    return text if len(text) <= 60 else text[:60] + "…"
