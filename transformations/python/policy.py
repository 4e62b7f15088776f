"""What a Python script may say: our policy on top of RestrictedPython's transformer.

RestrictedPython knows every statement and refuses those it does not know; that part is kept. What
differs is that no object a script can reach is shared with anyone (a worker serves one script, its
globals are fresh per batch, modules are immutable views), so items, iteration and unpacking need no
guard and stay native. Attributes are the way out, and every one goes through `guards.read` but for
names that only harmless methods of the core types have (`NATIVE`).
"""

from __future__ import annotations

import ast
from typing import Any

from RestrictedPython.transformer import INSPECT_ATTRIBUTES, IOPERATOR_TO_STR, RestrictingNodeTransformer

__all__ = ["BLOCKED", "MAGIC", "NATIVE", "Policy", "public"]

BLOCKED = frozenset(INSPECT_ATTRIBUTES) | {"format", "format_map", "mro", "with_traceback", "obj", "throw"}
"""Attributes that lead from a script's object to the interpreter's."""

CORE = (
    str, bytes, bytearray, int, float, bool, complex, list, dict, set, frozenset, tuple, range, slice, type(None),
)


def public(kind: type) -> frozenset[str]:
    """Public attribute names of a type, without the blocked ones."""
    return frozenset(name for name in dir(kind) if not name.startswith("_")) - BLOCKED


NATIVE = frozenset().union(*map(public, CORE))
"""Attribute names read without a guard: methods of immutable core types, harmless on any object."""

MAGIC = frozenset(
    f"__{name}__"
    for name in (
        "init", "str", "repr", "len", "bool", "hash", "iter", "next", "call", "contains", "getitem", "setitem",
        "delitem", "lt", "le", "eq", "ne", "gt", "ge", "add", "radd", "sub", "rsub", "mul", "rmul", "neg", "int",
        "float",
    )
)
"""Special methods a class of a script may define."""

_RESERVED = frozenset({"super"})


class Policy(RestrictingNodeTransformer):
    """Rewrites a module in place; `found` collects (line, message) of what is refused."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.found: list[tuple[int, str]] = []
        self.methods: set[int] = set()
        self.async_depth = 0

    def error(self, node: ast.AST, info: str) -> None:
        super().error(node, info)
        self.found.append((getattr(node, "lineno", 0), info))

    # ---- names

    def check_name(self, node: Any, name: str | None, allow_magic_methods: bool = False) -> None:
        if name in _RESERVED:
            self.error(node, f'"{name}" is a reserved name.')
        magic = allow_magic_methods and id(node) in self.methods and name in MAGIC
        if not magic:
            super().check_name(node, name)

    def visit_Name(self, node: ast.Name) -> Any:
        if isinstance(node.ctx, ast.Load):
            if node.id == "print":
                return node
            if node.id == "__name__":
                return ast.copy_location(ast.Constant(self.name), node)
        return super().visit_Name(node)

    def visit_Global(self, node: ast.Global) -> Any:
        for name in node.names:
            self.check_name(node, name)
        return node

    def visit_Nonlocal(self, node: ast.Nonlocal) -> Any:
        for name in node.names:
            self.check_name(node, name)
        return node

    # ---- native where nothing is shared

    def guard_iter(self, node: Any) -> Any:
        if getattr(node, "is_async", 0):
            # Comprehensions have no line; what they iterate over has.
            self.error(node.iter, "Asynchronous comprehensions are not allowed.")
        return self.node_contents_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> Any:
        return self.node_contents_visit(node)

    def visit_Assign(self, node: ast.Assign) -> Any:
        return self.node_contents_visit(node)

    def visit_Call(self, node: ast.Call) -> Any:
        if isinstance(node.func, ast.Name) and node.func.id in ("exec", "eval"):
            self.error(node, f"{node.func.id.title()} calls are not allowed.")
        return self.node_contents_visit(node)

    # ---- attributes

    def visit_Attribute(self, node: ast.Attribute) -> Any:
        if isinstance(node.ctx, ast.Load):
            if node.attr in NATIVE and not _is_super(node.value):
                return self.node_contents_visit(node)
            if node.attr == "__name__":
                return self._guarded("_name_", node, [self.visit(node.value)])
            if _is_super(node.value):
                return self._super(node)
        return super().visit_Attribute(node)

    def _super(self, node: ast.Attribute) -> ast.AST:
        # `super()` finds its class and object in the calling frame, so it must stay where it stands;
        # its attribute is read by a guard that knows only bases that scripts may have.
        if node.attr.startswith("_") and node.attr not in MAGIC:
            self.error(node, f'"{node.attr}" is an invalid attribute name because it starts with "_".')
        return self._guarded("_super_", node, [node.value, ast.Constant(node.attr)])

    def visit_AugAssign(self, node: ast.AugAssign) -> Any:
        target = node.target
        if not isinstance(target, ast.Attribute):
            return self.node_contents_visit(node)
        if target.attr.startswith("_") or target.attr in BLOCKED:
            self.error(node, f'"{target.attr}" is an invalid attribute name.')
        call = self._guarded("_augment_", node, [
            ast.Constant(IOPERATOR_TO_STR[type(node.op)]), self.visit(target.value), ast.Constant(target.attr),
            self.visit(node.value),
        ])
        return ast.copy_location(ast.Expr(call), node)

    def _guarded(self, guard: str, node: Any, arguments: list[Any]) -> ast.Call:
        call = ast.Call(ast.Name(guard, ast.Load()), arguments, [])
        return ast.fix_missing_locations(ast.copy_location(call, node))

    # ---- annotations say nothing at run time

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        if node.value is None:
            if isinstance(node.target, ast.Name):
                self.check_name(node, node.target.id)
            return ast.copy_location(ast.Pass(), node)
        plain = ast.copy_location(ast.Assign([node.target], node.value), node)
        return self.visit(ast.fix_missing_locations(plain))

    def visit_arg(self, node: ast.arg) -> Any:
        node.annotation = None
        return node

    # ---- functions and classes

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        node.returns = None
        outside, self.async_depth = self.async_depth, 0
        try:
            return super().visit_FunctionDef(node)
        finally:
            self.async_depth = outside

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> Any:
        """Scripts have nothing to wait for: `async def` is a plain function, `await x` is `x`."""
        for inner in _own_nodes(node):
            if isinstance(inner, ast.Yield | ast.YieldFrom):
                self.error(inner, "Asynchronous generators are not allowed.")
        fields: dict[str, Any] = {field: getattr(node, field, None) for field in node._fields}
        fields["returns"] = None
        plain = ast.copy_location(ast.FunctionDef(**fields), node)
        if id(node) in self.methods:
            self.methods.add(id(plain))
        outside, self.async_depth = self.async_depth, 1
        try:
            return super().visit_FunctionDef(plain)
        finally:
            self.async_depth = outside

    def visit_Await(self, node: ast.Await) -> Any:
        if not self.async_depth:
            self.error(node, "'await' outside async function")
        return self.visit(node.value)

    def visit_ClassDef(self, node: ast.ClassDef) -> Any:
        for keyword in node.keywords:
            self.error(keyword.value, "Keywords of classes are not allowed.")
        if getattr(node, "type_params", None):
            self.error(node, "Type parameters are not allowed.")
        self.methods |= {
            id(item) for item in node.body if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        made = super().visit_ClassDef(node)
        # The template it is made from begins at line 1.
        return ast.fix_missing_locations(ast.copy_location(made, node)) if isinstance(made, ast.AST) else made

    # ---- statements

    def visit_ImportFrom(self, node: ast.ImportFrom) -> Any:
        if node.level:
            self.error(node, "Relative imports are not allowed.")
        if node.module == "__future__":
            return ast.copy_location(ast.Pass(), node)
        return super().visit_ImportFrom(node)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> Any:
        if node.type is None:
            # A bare except must not catch the deadline.
            node.type = ast.copy_location(ast.Name("Exception", ast.Load()), node)
        return super().visit_ExceptHandler(node)

    def visit_With(self, node: ast.With) -> Any:
        self.not_allowed(node)

    def visit_TemplateStr(self, node: ast.AST) -> Any:
        self.not_allowed(node)

    def visit_TypeVar(self, node: ast.AST) -> Any:
        self.error(node, "Type parameters are not allowed.")

    visit_ParamSpec = visit_TypeVarTuple = visit_TypeVar

    def _match(self, node: Any) -> Any:
        """Patterns of values, sequences and mappings; class patterns would read attributes by name."""
        for field in ("name", "rest"):
            self.check_name(node, getattr(node, field, None))
        return self.node_contents_visit(node)

    visit_Match = visit_match_case = visit_MatchValue = visit_MatchSingleton = visit_MatchSequence = _match
    visit_MatchMapping = visit_MatchStar = visit_MatchAs = visit_MatchOr = _match


def _is_super(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "super"
        and not node.args and not node.keywords
    )


def _own_nodes(function: ast.AsyncFunctionDef) -> list[ast.AST]:
    """Nodes of a function's body without those of functions inside it."""
    found: list[ast.AST] = []
    todo: list[ast.AST] = list(function.body)
    while todo:
        node = todo.pop()
        found.append(node)
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            todo.extend(ast.iter_child_nodes(node))
    return found
