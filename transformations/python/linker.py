"""Running the modules of one batch: the script's own, and the libraries it asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from transformations import standard
from transformations.python import modules
from transformations.python.compiler import Code
from transformations.python.guards import BUILTINS, GUARDS, View
from transformations.python.names import show
from transformations.python.reaching import Asking, reaching
from turnout.spelling import meant

if TYPE_CHECKING:
    from transformations.python.program import Python

__all__ = ["Linker", "plain"]

_INNER = View("", {})
_INNER_NAMES = frozenset({"_pylong", "_strptime"})
"""What the interpreter imports by the script's `__import__` in the middle of a division, or of `strptime`. It takes
the real one from where all modules are (`modules.warm`); the script gets nothing, and cannot say these names."""
FUNCTIONS = ("transformEvent", "transformBatch")
"""What a script must define one of."""


class Linker:
    """Fresh globals for a script and its libraries; `log` is what `print` and `log` call, `ask` reaches out."""

    def __init__(self, program: Python, log: Callable[..., None], ask: Asking) -> None:
        self.program = program
        self.views: dict[str, View] = {}
        self.importing: list[str] = []
        self.closed: dict[str, Any] = {
            **BUILTINS, "__import__": self._import, "print": plain(log), "log": plain(log),
        }  # fmt: skip
        self.builtins = {**self.closed, "getCredential": plain(self._credential), **reaching(ask)}

    def entry(self) -> tuple[str, Callable[..., Any]]:
        """Run the script's module; the name of its function, and the function."""
        code = self.program.code
        assert code is not None
        found = self._execute(code, self.program.name)
        names = [name for name in FUNCTIONS if callable(found.get(name))]
        if len(names) != 1:
            raise TypeError(f"Expected one of {','.join(FUNCTIONS)}. Found {names}")
        return names[0], found[names[0]]

    def _execute(self, code: Code, name: str) -> dict[str, Any]:
        # A library reaches nothing and has no secrets: what it is to have, the script hands it.
        builtins = self.closed if self.importing else self.builtins
        scope: dict[str, Any] = {"__builtins__": builtins, "__name__": name, **GUARDS}
        # Libraries are in scope without an import, as in RudderStack.
        for used in sorted(code.names & self.program.shared.keys()):
            if self.program.shared[used][0] not in self.importing:
                scope[used] = self._library(used)
        exec(code.code, scope)  # noqa: S102  # compiled under the policy, in a locked process: what this is for
        return scope

    def _import(
        self, name: str, _globals: Any = None, _locals: Any = None, wanted: Any = (), level: int = 0
    ) -> View:
        if name in _INNER_NAMES and not wanted:
            return _INNER
        view = None
        if type(name) is str and not level:
            view = modules.MODULES.get(name)
            if view is None and self.program.library(name):
                view = self._library(name)
        if view is None:
            raise ImportError(f"import of '{name}' is not allowed here{self._meant(name)}")
        if not wanted and "." in name:
            first, _, rest = name.partition(".")
            return modules.MODULES.get(first) or View(first, {rest: view})
        if not wanted:
            return view
        for member in wanted:
            if not hasattr(view, member):
                raise ImportError(f"cannot import '{show(member)}' from '{name}'")
        return view

    def _meant(self, name: Any) -> str:
        """A hint at the module or library that was misspelt; compared once, as a script may live without it."""
        if type(name) is not str:
            return ""
        if name not in self.program.meant:
            known = {*modules.MODULES, *standard.NAMES["python"], *self.program.shared}
            said = meant(name, sorted(one for one in known if one.replace(".", "").isidentifier()))
            self.program.meant[name] = said
        return self.program.meant[name]

    def _library(self, imported: str) -> View:
        name, code = self.program.shared[imported]
        if name in self.importing:
            raise ImportError(f"libraries import each other in a circle: {' → '.join([*self.importing, name])}")
        if name not in self.views:
            self.importing.append(name)
            try:
                scope = self._execute(code, name)
            finally:
                self.importing.pop()
            self.views[name] = View(name, {key: value for key, value in scope.items() if not key.startswith("_")})
        return self.views[name]

    def _credential(self, key: Any, /) -> str | None:
        return self.program.credentials.get(key) if type(key) is str else None


def plain(method: Callable[..., Any]) -> Callable[..., Any]:
    """A function instead of a bound method, whose `repr` would show what it is bound to."""

    def call(*args: Any, **kwargs: Any) -> Any:
        return method(*args, **kwargs)

    return call
