"""From source to code under the policy; runs in workers only."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from types import CodeType

from transformations.program import MAX_SOURCE
from transformations.python.names import PrivateNames, show
from transformations.python.policy import Policy

__all__ = ["Code", "Refusal", "compile_source"]

class Refusal(Exception):
    """The source cannot be used; `line` is 0 where none is to blame."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.message = show(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class Code:
    """Compiled source, and the names it reads."""

    code: CodeType
    names: frozenset[str]


def compile_source(source: str, file: str, module: str) -> Code:
    """Compile a module as `file` (how errors name it); raises `Refusal`."""
    if len(source) > MAX_SOURCE:
        raise Refusal(f"the source is longer than {MAX_SOURCE:,} characters")
    try:
        tree = ast.parse(source, file)
        PrivateNames().visit(tree)
        policy = Policy(module)
        tree = policy.visit(tree)
        if policy.found:
            line, message = min(policy.found)
            raise Refusal(message, line)
        return Code(compile(tree, file, "exec", dont_inherit=True), frozenset(policy.used_names))
    except SyntaxError as error:
        raise Refusal(f"{type(error).__name__}: {error.msg}", error.lineno or 0) from None
    except RecursionError:
        raise Refusal("the source is nested too deeply") from None
    except ValueError as error:
        # NUL characters; numbers of more digits than Python converts.
        raise Refusal(f"SyntaxError: {error}") from None
