"""YAML as a tree in which every key and value knows its line and column.

Built from the parser's events and not by a YAML constructor: nothing is ever instantiated, depth
and size are bounded (aliases counted as often as they are used), and what PyYAML passes over in
silence (a key given twice, `no` for false) is a finding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from dataplane.config.diagnostic import Path, Place, Report
from dataplane.config.scalars import Atom, resolve
from dataplane.config.syntax import sentence, unreadable

__all__ = ["MAX_BYTES", "MAX_DEPTH", "MAX_NODES", "Entry", "Interpolated", "Mapping", "Node", "Scalar",
           "Sequence", "Words", "compose", "plain", "scalars"]

MAX_BYTES = 1 << 20
"""Largest config file."""
MAX_DEPTH = 48
MAX_NODES = 100_000
_WORDS = frozenset({(("sandbox",), "off")})
"""Words that a key takes as they stand, though YAML 1.1 reads them as booleans."""


class Interpolated(str):
    """Text that came out of the environment or a file; it is never shown."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


@dataclass(slots=True, eq=False)
class Scalar:
    """A single value. `broken` means that it has a finding of its own, and stands for nothing."""

    place: Place
    text: str
    plain: bool
    value: Atom = None
    interpolated: bool = False
    broken: bool = False
    size: int = 1
    height: int = 1


@dataclass(slots=True, eq=False)
class Entry:
    """A key's place and its value."""

    place: Place
    node: Node


@dataclass(slots=True, eq=False)
class Mapping:
    """Keys and values, in the file's order."""

    place: Place
    entries: dict[str, Entry] = field(default_factory=dict)
    size: int = 1
    height: int = 1


@dataclass(slots=True, eq=False)
class Sequence:
    """A list."""

    place: Place
    items: list[Node] = field(default_factory=list)
    size: int = 1
    height: int = 1


Node = Scalar | Mapping | Sequence


@dataclass(frozen=True, slots=True)
class Words:
    """What a file of this kind is called where it is no mapping at all."""

    empty: str = "the file is empty; `turnout init` writes one to start from"
    several: str = "a config is one document; remove what follows this '---'"
    other: str = "a config is a mapping of sections: `sources:`, `destinations:` …"


_CONFIG = Words()


def plain(node: Node) -> Any:
    """The tree as dicts, lists and scalars; what was interpolated is `Interpolated`."""
    if isinstance(node, Mapping):
        return {key: plain(entry.node) for key, entry in node.entries.items()}
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    if node.interpolated and isinstance(node.value, str):
        return Interpolated(node.value)
    return node.value


def scalars(node: Node) -> Iterator[Scalar]:
    """Every scalar below a node, itself included."""
    if isinstance(node, Mapping):
        for entry in node.entries.values():
            yield from scalars(entry.node)
    elif isinstance(node, Sequence):
        for item in node.items:
            yield from scalars(item)
    else:
        yield node


def compose(text: str, report: Report, words: Words = _CONFIG) -> Mapping | None:
    """The tree of one YAML document; None, with findings in the report, where there is none."""
    if (finding := unreadable(text)) is not None:
        report.add(finding[0], (), finding[1])
        return None
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    composer = _Composer(yaml.parse(text, Loader=loader), report, words)
    try:
        return composer.document()
    except _Abort as abort:
        report.add(abort.place, abort.path, abort.message)
    except yaml.MarkedYAMLError as error:
        place, message = sentence(error, text)
        report.add(place, (), message)
    except (yaml.YAMLError, ValueError, OverflowError):
        # PyYAML's own parser lets errors of int() and chr() through for absurd escapes.
        report.add(composer.place, (), "not valid YAML after this")
    return None


class _Abort(Exception):
    """A finding after which the rest of the file cannot be understood."""

    def __init__(self, place: Place, path: Path, message: str) -> None:
        super().__init__(message)
        self.place, self.path, self.message = place, path, message


class _Composer:
    """Turns the parser's events into nodes, each anchored node once."""

    def __init__(self, events: Iterator[yaml.Event], report: Report, words: Words) -> None:
        self.words = words
        self.events = events
        self.report = report
        self.place = Place(1, 1)
        self.anchors: dict[str, Node | None] = {}

    def next(self) -> yaml.Event:
        event = next(self.events)
        mark = event.start_mark
        if mark is not None:
            self.place = Place(mark.line + 1, mark.column + 1)
        return event

    def document(self) -> Mapping | None:
        self.next()  # the stream's start
        if isinstance(self.next(), yaml.StreamEndEvent):
            raise _Abort(Place(1, 1), (), self.words.empty)
        event, place = self.next(), self.place
        root = self.node(event, ())
        self.next()  # the document's end
        if not isinstance(self.next(), yaml.StreamEndEvent):
            raise _Abort(self.place, (), self.words.several)
        if isinstance(root, Mapping):
            return root
        if isinstance(root, Scalar) and root.value is None:
            raise _Abort(Place(1, 1), (), self.words.empty)
        raise _Abort(place, (), self.words.other)

    def node(self, event: yaml.Event, path: Path) -> Node:
        place = self.place
        if len(path) > MAX_DEPTH:
            raise _Abort(place, path[:3], f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event, path)
        if not isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent):
            raise _Abort(place, path, "a value is expected here")
        anchor = event.anchor
        if anchor is not None:
            if anchor in self.anchors:
                self.report.add(place, path, f"the anchor &{anchor} is given twice")
            self.anchors[anchor] = None
        if event.tag is not None:
            self.report.add(place, path, "tags such as !!str are not used here; quote what is text")
        made: Node
        if isinstance(event, yaml.MappingStartEvent):
            made = self.mapping(place, path)
        elif isinstance(event, yaml.ScalarEvent):
            made = self.scalar(event, place, path)
        else:
            made = self.sequence(place, path)
        if made.size > MAX_NODES:
            raise _Abort(place, path, f"more than {MAX_NODES} values, aliases counted each time")
        if anchor is not None:
            self.anchors[anchor] = made
        return made

    def alias(self, event: yaml.AliasEvent, path: Path) -> Node:
        if event.anchor not in self.anchors:
            raise _Abort(self.place, path, f"there is no anchor &{event.anchor} above this")
        node = self.anchors[event.anchor]
        if node is None:
            raise _Abort(self.place, path, f"*{event.anchor} contains itself")
        if len(path) + node.height > MAX_DEPTH:
            raise _Abort(self.place, path, f"nested deeper than {MAX_DEPTH} levels")
        return node

    def scalar(self, event: yaml.ScalarEvent, place: Place, path: Path) -> Scalar:
        made = Scalar(place, event.value, not event.style)
        if not event.value.isascii() and any("\ud800" <= c <= "\udfff" for c in event.value):
            self.report.add(place, path, "half of a surrogate pair is not text")
            made.broken = True
        elif made.plain and "${" not in event.value and (path, event.value) not in _WORDS:
            try:
                made.value = resolve(event.value)
            except ValueError as error:
                self.report.add(place, path, str(error))
                made.broken = True
        else:
            made.value = event.value
        return made

    def sequence(self, place: Place, path: Path) -> Sequence:
        made = Sequence(place)
        while not isinstance(event := self.next(), yaml.SequenceEndEvent):
            item = self.node(event, (*path, len(made.items)))
            made.items.append(item)
            made.size += item.size
            made.height = max(made.height, item.height + 1)
            self.bound(made, path)
        return made

    def mapping(self, place: Place, path: Path) -> Mapping:
        made = Mapping(place)
        merged: list[Mapping] = []
        while not isinstance(event := self.next(), yaml.MappingEndEvent):
            key, key_place = self.key(event, path), self.place
            quoted = bool(getattr(event, "style", None))
            inner = (*path, key)
            value_event = self.next()
            value = self.node(value_event, inner)
            if isinstance(value, Scalar) and value.plain and not value.text:
                value.place = key_place  # a missing value has no place of its own
            made.size += value.size
            made.height = max(made.height, value.height + 1)
            if key == "<<" and not quoted:
                merged += self.merged(value, key_place, inner)
            elif (first := made.entries.get(key)) is not None:
                self.report.add(key_place, inner, f"given twice (first in line {first.place.line})")
            else:
                made.entries[key] = Entry(key_place, value)
            self.bound(made, path)
        for base in merged:
            made.entries = made.entries | {k: e for k, e in base.entries.items() if k not in made.entries}
        return made

    def key(self, event: yaml.Event, path: Path) -> str:
        if not isinstance(event, yaml.ScalarEvent):
            raise _Abort(self.place, path, "a key must be a word or quoted text")
        key = str(event.value)
        if event.tag is not None or event.anchor is not None:
            self.report.add(self.place, (*path, key), "a key has no tag and no anchor")
        if "${" in key:
            self.report.add(self.place, (*path, key), "${…} is read in values, not in keys")
        elif not event.style:
            self.bare(key, path)
        return key

    def bare(self, key: str, path: Path) -> None:
        """Refuse an unquoted key that YAML readers take for a boolean or null."""
        if not key:
            raise _Abort(self.place, path, "a key is missing before this ':'")
        if key.lower() in ("yes", "no", "on", "off", "true", "false", "null", "~"):
            self.report.add(self.place, (*path, key), "quote this key; some YAML readers take it for a value")

    def merged(self, value: Node, place: Place, path: Path) -> list[Mapping]:
        sources = value.items if isinstance(value, Sequence) else [value]
        found = [s for s in sources if isinstance(s, Mapping)]
        if len(found) < len(sources):
            self.report.add(place, path, "only mappings can be merged: `<<: *anchor`")
        return found

    def bound(self, made: Mapping | Sequence, path: Path) -> None:
        if made.size > MAX_NODES:
            raise _Abort(made.place, path, f"more than {MAX_NODES} values, aliases counted each time")
