"""Private names of scripts: `_helper` and `self._cache` are common, and harmless once renamed.

The policy refuses every name with a leading underscore, since the guards and Python's own internals
have such names. Private ones are renamed consistently before the policy looks; names that begin and
end with an underscore are left for it to refuse.
"""

from __future__ import annotations

import ast
import re

__all__ = ["PrivateNames", "hide", "show"]

_MARK = "\u00b7"
"""Part of a renamed name; no attribute of a host object has it."""
_SHOWN = re.compile(rf"(\w*?[^\W_]\w*?)({_MARK}{{1,2}})(?!\w)")
_FIELDS = ("id", "arg", "attr", "name", "asname", "rest")


def hide(name: str) -> str:
    """The name a script's private name has inside; other names as they are."""
    if not name.startswith("_") or name == "_":
        return name
    if name == "__":
        return _MARK * 2
    if name.endswith("_"):
        return name
    bare = name.lstrip("_")
    return bare + _MARK * min(2, len(name) - len(bare))


def show(text: str) -> str:
    """Private names in an error message as the script spells them."""
    if _MARK not in text:
        return text
    return _SHOWN.sub(lambda found: "_" * len(found[2]) + found[1], text)


class PrivateNames(ast.NodeTransformer):
    """Renames private names everywhere they can stand; module names in imports are left alone."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        for field in _FIELDS:
            value = getattr(node, field, None)
            if type(value) is str and not (isinstance(node, ast.alias) and field == "name"):
                setattr(node, field, hide(value))
        if isinstance(node, ast.Global | ast.Nonlocal):
            node.names = [hide(name) for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                alias.name, alias.asname = hide(alias.name), alias.asname or alias.name
        elif isinstance(node, ast.MatchClass):
            node.kwd_attrs = [hide(name) for name in node.kwd_attrs]
        return super().generic_visit(node)
