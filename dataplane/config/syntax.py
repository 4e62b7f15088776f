"""YAML's own complaints as sentences that say what to change."""

from __future__ import annotations

import re

import yaml
from yaml.reader import Reader

from dataplane.config.diagnostic import Place

__all__ = ["sentence", "unreadable"]

_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")  # what YAML 1.1 counts as the end of a line


def unreadable(text: str) -> tuple[Place, str] | None:
    """The first character that YAML does not allow, and a sentence about it."""
    match = Reader.NON_PRINTABLE.search(text)
    if match is None:
        return None
    before = _BREAK.split(text[:match.start()])
    place = Place(len(before), len(before[-1]) + 1)
    code = f"U+{ord(match[0]):04X}"
    return place, f"the character {code} is not allowed; write it as an escape in double quotes"


def sentence(error: yaml.MarkedYAMLError, text: str) -> tuple[Place, str]:
    """Where a scanner or parser error is to be mended, and how.

    PyYAML's two parsers (C and Python) word their errors differently; both are understood.
    """
    problem, context = error.problem or "", error.context or ""
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return Place(1, 1), f"not valid YAML: {problem}"
    place = Place(mark.line + 1, mark.column + 1)
    lines = _BREAK.split(text)
    line = lines[mark.line] if mark.line < len(lines) else ""
    if "tab" in problem or line[mark.column:mark.column + 1] == "\t":
        return place, "a tab cannot be used here; indent with spaces"
    if "quoted scalar" in context and "end of stream" in problem and error.context_mark is not None:
        start = error.context_mark
        return Place(start.line + 1, start.column + 1), "this quote is never closed"
    return place, _message(problem, context, line, mark.column)


def _message(problem: str, context: str, line: str, column: int) -> str:
    if "mapping values are not allowed" in problem:
        return "a ':' is not expected here; quote text that contains ': ', or mend the indentation"
    if "cannot start any token" in problem:
        return f"text cannot begin with {line[column:column + 1]}; quote it"
    if "node content" in problem:
        return "a key or a value is missing before this"
    if "expected ':'" in problem:
        return "a ':' is missing after this key"
    if "flow" in context and "expected ','" in problem:
        closing = "]" if "sequence" in context else "}"
        hint = "; quote ${…} inside { } and [ ]" if "${" in line else ""
        return f"a ',' or '{closing}' is missing before this{hint}"
    if "block" in context or "document start" in problem:
        return "this does not fit the lines above; mend the indentation or quote the text"
    return f"not valid YAML: {problem}"
