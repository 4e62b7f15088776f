"""Running a script's fixtures, and keeping a script that fails them out of force."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass

from dataplane.config.fixtures import Fixtures, read_fixtures
from dataplane.config.model import Config
from transformations.base import Script, Tester
from transformations.fixture import FixtureCase, Replay, difference, items, prepared
from turnout.errors import ConfigError

__all__ = ["Proof", "Tried", "tried"]


@dataclass(frozen=True, slots=True)
class Tried:
    """A case that was run; `difference` is empty where it passed."""

    name: str
    file: str
    line: int
    difference: tuple[str, ...]

    def failure(self) -> str:
        """One line for a case that failed: its name, and what differs."""
        marks = [" ".join(line[1:].strip() for line in self.difference if line[:1] == mark) for mark in "-+"]
        wanted, came = (mark[:200].rstrip(", ") for mark in marks)
        said = [f"expected {wanted}"] if wanted else []
        said += [f"came out {came}"] if came else []
        return f"{self.name}: {', '.join(said)}"


async def tried(runner: Tester, script: Script, fixtures: Fixtures) -> AsyncIterator[Tried]:
    """Run the cases of a script one after the other, each by itself."""
    for case, line in zip(fixtures.cases, fixtures.lines, strict=True):
        yield Tried(case.name, fixtures.file, line, tuple(await _run(runner, script, case)))


async def _run(runner: Tester, script: Script, case: FixtureCase) -> list[str]:
    trial = await runner.trial(prepared(script, case), items(case), Replay(case))
    return difference(case, trial.results)


class Proof:
    """Which versions of scripts have passed which fixtures, so that none is run twice for nothing."""

    def __init__(self) -> None:
        self._passed: set[tuple[str, str, str]] = set()

    async def of(
        self, config: Config, scripts: Mapping[str, Script], runner: Tester,
        *, proven: Callable[[str], bool] | None = None,
    ) -> None:  # fmt: skip
        """Raises `ConfigError`, a line per failing case, unless every script passes its fixtures.

        A version of which `proven` is True was in force before, and is not run.
        """
        failed: list[str] = []
        for name, item in config.transformations.items():
            script = scripts[name]
            if proven is not None and proven(script.version):
                continue
            fixtures = read_fixtures(item.file, script.file)
            if fixtures is None or (name, script.version, fixtures.digest) in self._passed:
                continue
            wrong = [case async for case in tried(runner, script, fixtures) if case.difference]
            failed += [f"{case.file}:{case.line}: {case.failure()}" for case in wrong]
            if not wrong:
                self._passed.add((name, script.version, fixtures.digest))
        if failed:
            raise ConfigError("\n".join([*failed, "fixtures fail: `turnout test` shows more"]))
