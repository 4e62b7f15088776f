"""A script in a worker: loaded once, its module run afresh for every batch (`Batch`)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from transformations import standard
from transformations.libraries import camel
from transformations.program import Ask, Fault
from transformations.python import deadline, modules
from transformations.python.batch import Batch
from transformations.python.compiler import Code, Refusal, compile_source
from transformations.sandbox import wire

__all__ = ["Python", "preload"]

RECURSION = 1000
COMPILING = 3000


def preload() -> None:
    """Make a fork of this process ready to run scripts without opening a file."""
    modules.warm()
    compile_source("x = 1", "warm", "warm")


class Python:
    """One script and its libraries. `fault` is set when it cannot run; `spent` ends the worker."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.name: str = spec["name"]
        self.file: str = spec["file"] or spec["name"]
        self.source: str = spec["source"]
        self.timeout: float = spec["timeout"]
        self.credentials: dict[str, str] = spec["credentials"]
        self.libraries: list[dict[str, str]] = spec["libraries"]
        self.code: Code | None = None
        self.shared: dict[str, tuple[str, Code]] = {}
        self.meant: dict[str, str] = {}
        """By an import that leads nowhere, the hint at what it may mean."""
        self.files = {self.file, *(lib["file"] or lib["name"] for lib in self.libraries)}
        self.fault: Fault | None = None
        self.spent = False

    def load(self) -> None:
        """Compile everything; what is wrong becomes the fault."""
        self._timed(self._compile)

    def batch(self, events: Sequence[memoryview], metadata: Sequence[memoryview], ask: Ask) -> Batch:
        """A run over these events."""
        return Batch(self, events, metadata, ask)

    def _timed(self, step: Callable[[], None]) -> None:
        """Run a step under the soft deadline; being cut off becomes the program's fault."""
        seconds = min(self.timeout, wire.LOADING)
        try:
            deadline.arm(seconds)
            try:
                step()
            finally:
                deadline.disarm()
        except deadline.Expired:
            deadline.disarm()
            self.fault = Fault("timeout", f"took longer than {seconds:g} s to load", self.file)
            self.spent = True
        except MemoryError:
            self.fault = Fault("memory", "needs more memory than allowed to load", self.file)
            self.spent = True

    def _compile(self) -> None:
        sys.setrecursionlimit(COMPILING)
        file = self.file
        try:
            for lib in self.libraries:
                file = lib["file"] or lib["name"]
                code = compile_source(lib["source"], file, lib["name"])
                for name in {lib["name"], camel(lib["name"])}:
                    self.shared.setdefault(name, (lib["name"], code))
            file = self.file
            self.code = compile_source(self.source, file, self.name)
        except Refusal as refusal:
            self.fault = Fault("error", refusal.message, file, refusal.line)
        finally:
            sys.setrecursionlimit(RECURSION)

    def library(self, name: str) -> bool:
        """Whether there is a library of this name; one of ours is compiled when it is first asked for."""
        if name not in self.shared and (found := standard.source("python", name)) is not None:
            self.shared[name] = (name, compile_source(found.text, found.file, name))
            self.files.add(found.file)
        return name in self.shared

    def place(self, error: BaseException) -> tuple[str, int]:
        """File and line of the innermost frame of the script or a library; "" where there is none."""
        found = ("", 0)
        trace = error.__traceback__
        while trace is not None:
            file = trace.tb_frame.f_code.co_filename
            if file in self.files:
                found = (file, trace.tb_lineno)
            trace = trace.tb_next
        return found
