"""One fresh context with a script and its libraries loaded, and the clock that runs against it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Not `quickjs`, whose import starts a thread: the zygote must have one only.
from _quickjs import Context, JSException

from transformations.javascript.modules import Module
from transformations.program import Fault

if TYPE_CHECKING:
    from transformations.javascript.program import JavaScript

__all__ = ["JSException", "Late", "Run", "Unit", "warm"]

STACK = 1 << 20
"""Bytes of stack for JavaScript; far below the 8 MB a process has."""

SAID = {
    "SyntaxError: unexpected token in expression: ''": "SyntaxError: unexpected end of input at the end of the file",
    "SyntaxError: unsupported keyword: export": "SyntaxError: unsupported keyword: export (an export is a whole "
                                                "statement outside of blocks: is a bracket or a quote left open?)",
}  # fmt: skip
"""What the engine says of a source, and what says more. It writes the token at the end as nothing; an export that
is not whole is left as it is by `modules.rewrite`, and the engine runs what is left as a script."""


class Late(Exception):
    """The time is up; what was done until then can still be asked."""


_ENTRIES = ("transformEvent", "transformBatch")
PARTS = ("moment", "console", "reach", "outcome")
"""What the core of the prelude reads when it is first used, in the order it takes them."""


@cache
def _prelude(name: str) -> str:
    """A file of the prelude without indents and lines of comment: the engine reads it for every batch."""
    source = (Path(__file__).parent / "prelude" / f"{name}.js").read_text(encoding="utf-8")
    return "\n".join(line.lstrip() for line in source.splitlines() if not line.lstrip().startswith("//"))


def warm() -> None:
    """Read the prelude, and run all of it once."""
    context = Context()
    drive = context.eval(_prelude("core"))("", "{}", *map(_prelude, PARTS))
    for part, verb in (("moment", "random"), ("console", "lines"), ("reach", "asked"), ("outcome", "loaded")):
        drive("part", part, verb)


@dataclass(slots=True)
class Unit:
    """A module with the lines it has among all: its first is `first` lines down, `last` of its own the
    last that is not blank."""

    module: Module
    file: str
    first: int
    lines: int
    last: int


class Run:
    """A fresh context with everything loaded, until `deadline` (monotonic seconds); sets the fault."""

    def __init__(self, program: JavaScript, deadline: float) -> None:
        self.program = program
        self.deadline = deadline
        self.context = Context()
        self.context.set_memory_limit(program.heap)
        self.context.set_max_stack_size(STACK)
        core = self.context.eval(_prelude("core"))
        self.drive: Callable[..., Any] = core(program.name, json.dumps(program.credentials), *map(_prelude, PARTS))
        self.entry = ""
        for unit in program.units:
            if not self._module(unit):
                return
        self._find_entry()

    def left(self) -> float:
        """Seconds; raises `Late` where none are left."""
        found = self.deadline - time.monotonic()
        if found <= 0:
            raise Late
        return found

    def call(self, *what: str) -> Any:
        """Drive a step that may run the script; raises `Late` or JSException."""
        self.context.set_time_limit(self.left())
        try:
            return self.drive(*what)
        except JSException as error:
            if "InternalError: interrupted" in str(error):
                raise Late from None
            raise

    def jobs(self) -> None:
        """Run what promises have waiting; raises `Late`."""
        while True:
            self.context.set_time_limit(self.left())
            try:
                if not self.context.execute_pending_job():
                    return
            except JSException as error:  # a job's own failure is its promise's; only time is ours
                if "InternalError: interrupted" in str(error):
                    raise Late from None

    def _module(self, unit: Unit) -> bool:
        """Evaluate a module; False where it failed, with the fault set."""
        self.context.set_time_limit(self.left())
        code = "\n" * unit.first + unit.module.code
        try:
            if unit.module.plain:
                self.context.eval(code)  # sloppy, as RudderStack's first version was
                return True
            promise = self.context.module(code)
            self.jobs()
            if self.drive("published", unit.module.name):  # the last thing a module does
                return True
            self.drive("part", "outcome", "watch", promise)
            self.jobs()
            said = self.drive("part", "outcome", "loaded")
        except JSException as error:
            return self._broken(str(error), str(error), unit)
        if said == "":
            return self._broken("Error: the module waits for something that never comes", "", unit)
        if said != "ok":
            text, stack = json.loads(said)
            return self._broken(text, stack, unit)
        return True

    def _broken(self, text: str, stack: str, unit: Unit) -> bool:
        if "InternalError: interrupted" in text:
            raise Late
        file, line = self.program.place(stack)
        kind = "memory" if "out of memory" in text else "error"
        message = text.partition("\n")[0]
        message = SAID.get(message, message)
        self.program.fault = Fault(kind, message, file or unit.file, line)  # type: ignore[arg-type]  # one of the kinds
        self.program.spent = kind == "memory"
        return False

    def _find_entry(self) -> None:
        kinds = self.drive("published", "") or ""
        names = [name for name, kind in zip(_ENTRIES, kinds, strict=False) if kind == "f"]
        if not names and self.program.script.plain and self.drive("part", "outcome", "legacy"):
            names = ["transform"]
        if len(names) != 1:
            message = f"Expected one of transformEvent,transformBatch. Found {','.join(names) or 'none'}"
            self.program.fault = Fault("error", message, self.program.file, 1)
            return
        self.entry = names[0]
