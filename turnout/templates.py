"""Texts with places for an event's values, in the language of Handlebars: `{{name}} bought {{properties.sku}}`.

    greeting = Template("{{name}}{{#each properties.items}}{{newline}}- {{title}}{{/each}}", escape=html)
    text = greeting.render({"name": "Ines", "properties": {"items": [{"title": "Atlas"}]}})

Pure. Compiled once, for contexts that strangers write: what a template may do with one is bounded.
Source: https://handlebarsjs.com/guide/expressions.html and https://handlebarsjs.com/guide/builtin-helpers.html.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from turnout import values
from turnout.errors import Refused

__all__ = ["Template", "listed"]

STEPS = 20_000
"""Most values and texts that one rendering puts together: two loops over one list of an event make millions."""
LONGEST = 4_000_000
"""Most characters of one rendering: a loop says a long text of an event again for each of its items."""
DEEPEST = 20
_TAG = re.compile(
    r"(?P<slashes>\\*)(?:\{\{(?P<left>~?)!--.*?--(?P<right>~?)\}\}|\{\{(?P<cl>~?)![^}]*\}\}"
    r"|\{\{\{(?P<raw>[^{}]*)\}\}\}|\{\{(?P<l>~?)(?P<kind>[#/^&]?)(?P<body>[^{}]*?)(?P<r>~?)\}\})",
    re.DOTALL,
)
_PATH = re.compile(r"(@?[\w$-]+|\[[^\]]*\])(?:[./]|$)")
_UP = re.compile(r"(?:\.\./)*")
_BEFORE = re.compile(r"(^|\n)[ \t]*\Z")
_AFTER = re.compile(r"[ \t]*(\r?\n|\Z)")
_BLOCKS = frozenset({"if", "unless", "each", "with"})

Escape = Callable[[str], str]
_Found = tuple[int, tuple[str, ...]]
"""How many contexts up, and the names from there."""


class _Value(NamedTuple):
    path: _Found
    raw: bool


class _Block(NamedTuple):
    kind: str
    path: _Found
    body: tuple[_Node, ...]
    other: tuple[_Node, ...]


_Node = str | _Value | _Block


class _Tag(NamedTuple):
    kind: str
    body: str
    left: bool = False
    right: bool = False


class Template:
    """A text with `{{path}}`, `{{{path}}}`, `{{#if}}`, `{{#unless}}`, `{{#each}}`, `{{#with}}` and `{{newline}}`.

    `escape` is what `{{path}}` goes through and `{{{path}}}` does not. What is missing is nothing; a list
    is its items with commas; an object is `name: value ` for each of its members (Handlebars itself
    would write `[object Object]`). Raises ValueError, with a sentence, for a text that is no template.
    """

    __slots__ = ("_escape", "_nodes", "text")

    def __init__(self, text: str, *, escape: Escape | None = None) -> None:
        self.text = text
        self._escape = escape
        tags = _lines(_tags(text))
        self._nodes, closing = _nodes(tags, 0)
        if closing:
            raise ValueError(f"{{{{{closing.kind}{closing.body}}}}} closes nothing")

    def render(self, context: Mapping[str, Any]) -> str:
        """The text for a context; raises `Refused` where its blocks make too much of it."""
        made: list[str] = []
        room = LONGEST
        for part in _Rendering(self._escape).parts(self._nodes, [(context, {})]):
            room -= len(part)
            if room < 0:
                raise Refused("too_long", "a template makes too long a text of this event")
            made.append(part)
        return "".join(made)

    def __repr__(self) -> str:
        return f"Template({self.text!r})"


def listed(value: Mapping[str, Any]) -> str:
    """An object as `name: value `, member after member; what is inside of a member is JSON."""
    return "".join([f"{key}: {values.text(item)} " for key, item in value.items() if item is not None])


# ---- reading


def _tags(text: str) -> list[str | _Tag]:
    found: list[str | _Tag] = []
    last = 0
    for tag in _TAG.finditer(text):
        slashes = tag["slashes"]
        found.append(text[last:tag.start()] + slashes[:-1 if len(slashes) == 1 else len(slashes) // 2 or None])
        last = tag.end()
        if len(slashes) == 1:
            found.append(tag[0][1:])
        elif tag["raw"] is not None:
            found.append(_Tag("&", tag["raw"].strip()))
        elif tag["body"] is not None:
            found.append(_Tag(tag["kind"], tag["body"].strip(), bool(tag["l"]), bool(tag["r"])))
        else:
            found.append(_Tag("!", "", bool(tag["left"] or tag["cl"]), bool(tag["right"])))
    found.append(text[last:])
    for part in found:
        if isinstance(part, str) and re.search(r"\{\{(?![^{}]*\}\})", part):
            raise ValueError("{{ without }} after it")
    return [part for part in found if part != ""]


def _lines(parts: Sequence[str | _Tag]) -> list[str | _Tag]:
    """Without the space that ~ takes away, and without the lines that hold a block's tag or a comment alone."""
    made = ["", *parts, ""]
    fresh = {0}  # texts that begin where a line does
    for i, tag in enumerate(made):
        if isinstance(tag, str):
            continue
        before, after = _near(made, i - 1), _near(made, i + 1)
        if tag.kind in ("#", "/", "^", "!") or tag.body.split(" ")[0] == "else":
            ends = _BEFORE.search(before) if before is not None else None
            starts = _AFTER.match(after) if after is not None else None
            if ends and starts and (ends[1] or i - 1 in fresh) and (starts[1] or i + 2 == len(made)):
                before, after = (before or "").rstrip(" \t"), (after or "")[starts.end():]
                fresh.add(i + 1)
        if tag.left and before is not None:
            before = before.rstrip()
        if tag.right and after is not None:
            after = after.lstrip()
        if before is not None:
            made[i - 1] = before
        if after is not None:
            made[i + 1] = after
    return [part for part in made if part != ""]


def _near(parts: Sequence[str | _Tag], place: int) -> str | None:
    """The text at a place; None where a tag stands."""
    part = parts[place]
    return part if isinstance(part, str) else None


def _nodes(parts: list[str | _Tag], depth: int) -> tuple[tuple[_Node, ...], _Tag | None]:
    """Nodes up to the tag that ends their block, which is taken away too; None at the end of the text."""
    if depth > DEEPEST:
        raise ValueError(f"blocks may be {DEEPEST} deep")
    made: list[_Node] = []
    while parts:
        part = parts.pop(0)
        if isinstance(part, str):
            made.append(part)
        elif part.kind in ("#", "^") and part.body:
            made.append(_block(part, parts, depth))
        elif part.kind in ("/", "^") or part.body.split(" ")[0] == "else":
            return tuple(made), part
        elif part.kind != "!":
            made.append(_Value(_path(part.body), part.kind == "&"))
    return tuple(made), None


def _block(tag: _Tag, parts: list[str | _Tag], depth: int, closed_by: str = "") -> _Block:
    word, _, rest = tag.body.partition(" ")
    plain = word not in _BLOCKS
    if not plain and not rest.strip():
        raise ValueError(f"{{{{#{word}}}}} names nothing: {{{{#{word} path}}}}")
    path = _path(tag.body if plain else rest.strip())
    body, closing = _nodes(parts, depth + 1)
    other: tuple[_Node, ...] = ()
    if closing is not None and closing.kind != "/":
        chained = closing.body.removeprefix("else").strip()
        if chained:  # {{else if x}}: a block that is all of this one's other side, and closed with it
            return _Block(word, path, body, (_block(_Tag("#", chained), parts, depth + 1, closed_by or word),))
        other, closing = _nodes(parts, depth + 1)
    if closing is None or closing.kind != "/" or closing.body != (closed_by or word):
        raise ValueError(f"{{{{#{closed_by or tag.body}}}}} is not closed by {{{{/{closed_by or word}}}}}")
    if tag.kind == "^":
        body, other = other, body
    return _Block("" if plain else word, path, body, other)


def _path(text: str) -> _Found:
    up = _UP.match(text)
    assert up
    left = text[up.end():]
    ups = up.end() // 3
    if left == "..":
        return ups + 1, ()
    for self in ("this", "."):
        if left == self:
            return ups, ()
        if left.startswith((f"{self}.", f"{self}/")) or (self == "." and left.startswith("./")):
            left = left[len(self) + 1:]
            break
    names: list[str] = []
    place = 0
    while place < len(left):
        found = _PATH.match(left, place)
        if found is None:
            raise ValueError(f"{{{{{text[:60]}}}}} is no path: helpers with arguments are not known")
        names.append(found[1][1:-1] if found[1][0] == "[" else found[1])
        place = found.end()
    if not names or left.endswith((".", "/")):
        raise ValueError("{{}} names nothing")
    return ups, tuple(names)


# ---- rendering

_Scope = tuple[Any, Mapping[str, Any]]
"""A context, and the data of the loop it is from: `@index`, `@key`, `@first`, `@last`."""


class _Rendering:
    def __init__(self, escape: Escape | None) -> None:
        self.escape = escape
        self.steps = 0

    def parts(self, nodes: Sequence[_Node], scopes: list[_Scope]) -> Iterator[str]:
        for node in nodes:
            self.steps += 1
            if self.steps > STEPS:
                raise Refused("too_long", "a template's blocks make too much of this event")
            if isinstance(node, str):
                yield node
            elif isinstance(node, _Value):
                text = _text(_look(node.path, scopes))
                yield text if node.raw or self.escape is None else self.escape(text)
            else:
                yield from self.block(node, _look(node.path, scopes), scopes)

    def block(self, node: _Block, value: Any, scopes: list[_Scope]) -> Iterator[str]:
        holds = not (value is None or value is False or value in ("", 0) or value == [])
        if node.kind in ("if", "unless"):
            yield from self.parts(node.body if holds is (node.kind == "if") else node.other, scopes)
        elif not holds or (node.kind == "each" and not value):
            yield from self.parts(node.other, scopes)
        elif value is True and node.kind == "":
            yield from self.parts(node.body, scopes)
        elif node.kind == "with" or not isinstance(value, list | dict) or (
            isinstance(value, dict) and node.kind == ""
        ):
            yield from self.parts(node.body, [*scopes, (value, scopes[-1][1])])
        else:
            members = list(value.items() if isinstance(value, dict) else enumerate(value))
            for place, (key, item) in enumerate(members):
                data = {
                    "@index": place, "@key": key, "@first": place == 0, "@last": place == len(members) - 1,
                }
                yield from self.parts(node.body, [*scopes, (item, data)])


def _look(path: _Found, scopes: list[_Scope]) -> Any:
    up, names = path
    if up >= len(scopes):
        return None
    value, data = scopes[-1 - up]
    for place, name in enumerate(names):
        if place == 0 and name[0:1] == "@":
            value = scopes[0][0] if name == "@root" else data.get(name)
        elif place == 0 and name == "newline":
            return "\n"
        elif isinstance(value, Mapping):
            value = value.get(name)
        elif isinstance(value, list):
            at = int(name) if name.isascii() and name.isdigit() and len(name) < 10 else -1
            value = len(value) if name == "length" else value[at] if 0 <= at < len(value) else None
        else:
            return None
    return value


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return listed(value)
    if isinstance(value, list):
        return ",".join([values.text(item) or "" for item in value])
    return values.text(value) or ""
