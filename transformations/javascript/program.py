"""A JavaScript script in a worker: rewritten once, run in a fresh context for every batch."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Any

from transformations import standard
from transformations.javascript import modules, run
from transformations.javascript.batch import Batch
from transformations.javascript.modules import Module
from transformations.javascript.run import Late, Run, Unit
from transformations.libraries import camel
from transformations.program import MAX_SOURCE, Ask, Fault
from turnout.spelling import nearest

__all__ = ["JavaScript", "preload"]

_PLACE = re.compile(r"<input>:(\d+)")
_FILE = re.compile(r"^(?:\.{1,2}/)+|\.[cm]?js$")
"""What an import has around its name where somebody means a file; libraries are called by their ids."""
_PARSED = re.compile(r"\s*at <input>:[\d:]+(?=\s+at parse \(native\))")
"""The engine's frame for a place in a text that JSON.parse was given."""


def preload() -> None:
    """Make a fork of this process ready to run scripts without opening a file."""
    modules.preload()
    run.warm()


class JavaScript:
    """One script and its libraries. `fault` is set when it cannot run; `spent` ends the worker."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.name: str = spec["name"]
        self.file: str = spec["file"] or spec["name"]
        self.timeout: float = spec["timeout"]
        # Half for the heap of scripts, half for the interpreter around it and what goes in and out.
        self.heap = max(int(spec["memory"]) // 2, 16 << 20)
        self.credentials: dict[str, str] = spec["credentials"]
        self._source: str = spec["source"]
        self._libraries: list[dict[str, str]] = spec["libraries"]
        self.units: list[Unit] = []
        self.script = Module("")
        self.fault: Fault | None = None
        self.spent = False

    def load(self) -> None:
        """Rewrite the modules in the order they need each other; run them once to find mistakes."""
        sources = [(self.file, self._source), *((lib["file"] or lib["name"], lib["source"]) for lib in self._libraries)]
        for file, source in sources:
            if len(source) > MAX_SOURCE:
                self.fault = Fault("error", f"the source is longer than {MAX_SOURCE:,} characters", file, 1)
                return
        known: dict[str, dict[str, str]] = {}
        for library in self._libraries:
            for name in (library["name"], camel(library["name"])):
                known.setdefault(name, library)
        try:
            self.script = modules.rewrite("", self._source)
            for name in self.script.imports:
                if self._add(name, known, ()):
                    return
        except RecursionError:
            self.fault = Fault("error", "SyntaxError: the source is nested too deeply", self.file, 1)
            return
        self._unit(self.script, self.file, self._source)
        try:
            Run(self, time.monotonic() + self.timeout)
        except Late:
            self.fault = Fault("timeout", f"took longer than {self.timeout:g} s to load", self.file)
            self.spent = True

    def batch(self, events: Sequence[memoryview], metadata: Sequence[memoryview], ask: Ask) -> Batch:
        """A run over these events, in a context of its own."""
        return Batch(self, events, metadata, ask)

    def _add(self, name: str, known: dict[str, dict[str, str]], path: tuple[str, ...]) -> bool:
        """Add a library and those that it imports; True where one is missing."""
        if any(unit.module.name == name for unit in self.units):
            return False
        library = known.get(name)
        if library is None and (found := standard.source("javascript", name)) is not None:
            library = {"name": name, "file": found.file, "source": found.text}
        if library is None or name in path:
            circle = " → ".join((*path, name))
            why = f"Libraries import each other: {circle}."
            if library is None:
                near = nearest(_FILE.sub("", name), (*known, *standard.NAMES["javascript"]))
                why = "Module not found." + (f" Did you mean {near}?" if near else "")
            self.fault = Fault("error", f"import from {name} failed. {why}", self.file, 1)
            return True
        module = modules.rewrite(name, library["source"])
        if any(self._add(other, known, (*path, name)) for other in module.imports):
            return True
        self._unit(module, library["file"] or library["name"], library["source"])
        return False

    def _unit(self, module: Module, file: str, source: str) -> None:
        first = self.units[-1].first + self.units[-1].lines if self.units else 0
        last = source.rstrip().count("\n") + 1
        self.units.append(Unit(module, file, first, source.count("\n") + 3, last))

    def place(self, stack: str) -> tuple[str, int]:
        """File and line of the innermost frame that is in the script or a library; "" where none is."""
        own = _PARSED.sub("", stack.partition("at turnout")[0])  # below are the prelude's frames
        for found in _PLACE.finditer(own):
            line = int(found[1])
            for unit in self.units:
                if unit.first < line <= unit.first + unit.lines:
                    return unit.file, min(line - unit.first, unit.last)  # what misses at the end is behind it
        return "", 0
