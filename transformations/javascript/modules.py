"""ES modules without a loader: imports become look-ups, exports a list of what to publish.

The engine's binding has no module loader, so a module is rewritten before it is run: its imports are
read from the registry of the prelude, on its first line (imports are hoisted), and what it exports is
published by its last one. Lines keep their numbers. Runs in workers only: the source may be hostile.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

import tree_sitter_javascript
from tree_sitter import Language, Node, Parser

__all__ = ["Module", "preload", "rewrite"]

LIBRARY, PUBLISH = "__turnoutLibrary", "__turnoutPublish"
"""Globals of the prelude while modules are loaded: the registry, and what puts into it."""


@dataclass(slots=True)
class Module:
    """A module ready to be run: `code` publishes it as `name`; `imports` are the names it needs first."""

    name: str
    code: str = ""
    imports: list[str] = field(default_factory=list)
    exports: list[str] = field(default_factory=list)
    plain: bool = True
    """Neither imports nor exports: a script of RudderStack's first version, or an empty module."""


@cache
def _parser() -> Parser:
    return Parser(Language(tree_sitter_javascript.language()))


def preload() -> None:
    """Load the grammar, so that a fork of this process opens no file."""
    _parser().parse(b"import a from 'b'; export default a")


def rewrite(name: str, source: str) -> Module:
    """Rewrite one module; a syntax error is left in it for the engine to tell."""
    raw = source.replace("\0", "\ufffd").encode("utf-8", "replace")  # the engine's text ends at a NUL
    return _Rewriter(name, raw).run(_parser().parse(raw).root_node)


class _Rewriter:
    def __init__(self, name: str, raw: bytes) -> None:
        self.raw = raw
        self.module = Module(name)
        self.first: list[str] = []
        self.published: list[str] = []
        self.edits: list[tuple[int, int, str]] = []

    def run(self, root: Node) -> Module:
        for node in root.named_children:
            if node.type == "import_statement":
                self._import(node)
            elif node.type == "export_statement":
                self._export(node)
        module = self.module
        module.plain = not self.edits
        pieces, at = ["".join(self.first)], 0
        for start, end, text in self.edits:
            pieces += [self._text(at, start), text]
            at = end
        pieces.append(self._text(at, len(self.raw)))
        if not module.plain:
            pieces.append(f"\n;{PUBLISH}({json.dumps(module.name)},{{{','.join(self.published)}}});")
        module.code = "".join(pieces)
        return module

    def _text(self, start: int, end: int) -> str:
        return self.raw[start:end].decode()

    def _of(self, node: Node) -> str:
        return self._text(node.start_byte, node.end_byte)

    def _blank(self, start: int, end: int) -> str:
        """What takes the place of removed text: its line breaks."""
        return ";" + "\n" * self.raw.count(b"\n", start, end)

    def _library(self, node: Node) -> str:
        """The expression that gives the library an import or export names; "" where it names none."""
        source = node.child_by_field_name("source")
        if source is None:
            return ""
        # A string without escapes in every script that was ever written; with them it names nothing.
        name = self._of(source)[1:-1]
        if name not in self.module.imports:
            self.module.imports.append(name)
        return f"{LIBRARY}({json.dumps(name)})"

    # ---- imports

    def _import(self, node: Node) -> None:
        library = self._library(node)
        self.edits.append((node.start_byte, node.end_byte, self._blank(node.start_byte, node.end_byte)))
        if not library:
            return
        clause = next((child for child in node.named_children if child.type == "import_clause"), None)
        for part in clause.named_children if clause is not None else ():
            if part.type == "identifier":
                self.first.append(f"const {self._of(part)}={library}.default;")
            elif part.type == "namespace_import":
                self.first.append(f"const {self._of(part.named_children[0])}={library};")
            elif part.type == "named_imports":
                pairs = (f"{given}:{local}" for given, local in self._specifiers(part, "import_specifier"))
                self.first.append(f"const {{{','.join(pairs)}}}={library};")

    def _specifiers(self, clause: Node, kind: str) -> Iterator[tuple[str, str]]:
        """Name and alias of every specifier; an alias that is not given is the name."""
        for part in clause.named_children:
            if part.type == kind:
                name, alias = part.child_by_field_name("name"), part.child_by_field_name("alias")
                if name is not None:
                    yield self._of(name), self._of(alias if alias is not None else name)

    # ---- exports

    def _export(self, node: Node) -> None:
        declaration, value = node.child_by_field_name("declaration"), node.child_by_field_name("value")
        default = any(child.type == "default" for child in node.children)
        if declaration is not None:
            # `export` or `export default` goes, the declaration stays where it is.
            start, end = node.start_byte, declaration.start_byte
            names = list(self._declared(declaration))
            if default and names:
                self._publish("default", names[0])
            for name in names if not default else ():
                self._publish(name, name)
            self.edits.append((start, end, self._blank(start, end)))
        elif value is not None:
            start, end = node.start_byte, value.start_byte
            self.edits.append((start, end, self._blank(start, end) + "const __turnoutDefault="))
            self._publish("default", "__turnoutDefault")
        else:
            self._listed(node)

    def _listed(self, node: Node) -> None:
        """`export {…}`, `export {…} from`, `export * from`, `export * as … from`."""
        library = self._library(node)
        self.edits.append((node.start_byte, node.end_byte, self._blank(node.start_byte, node.end_byte)))
        clause = next((child for child in node.named_children if child.type == "export_clause"), None)
        space = next((child for child in node.named_children if child.type == "namespace_export"), None)
        if clause is not None:
            for name, alias in self._specifiers(clause, "export_specifier"):
                self._publish(alias, f"{library}[{json.dumps(name)}]" if library else name)
        elif space is not None:
            self._publish(self._of(space.named_children[0]), library)
        elif library:
            self.published.append(f"...{library}")

    def _publish(self, name: str, local: str) -> None:
        name = name.strip("'\"")
        self.module.exports.append(name)
        self.published.append(f"{json.dumps(name)}:{local}")

    def _declared(self, node: Node) -> Iterator[str]:
        """Names that a declaration binds."""
        if (name := node.child_by_field_name("name")) is not None and node.type != "variable_declarator":
            yield self._of(name)
            return
        for declarator in node.named_children:
            if declarator.type == "variable_declarator":
                pattern = declarator.child_by_field_name("name")
                if pattern is not None:
                    yield from self._bound(pattern)

    def _bound(self, pattern: Node) -> Iterator[str]:
        if pattern.type in ("identifier", "shorthand_property_identifier_pattern"):
            yield self._of(pattern)
        elif pattern.type == "pair_pattern" and (value := pattern.child_by_field_name("value")) is not None:
            yield from self._bound(value)
        elif pattern.type in ("assignment_pattern", "object_assignment_pattern"):
            if (left := pattern.child_by_field_name("left")) is not None:
                yield from self._bound(left)
        else:
            for child in pattern.named_children:
                yield from self._bound(child)
