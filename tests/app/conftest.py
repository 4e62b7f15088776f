"""Data planes as processes. Programs that the tests start keep their byte code, so that only the first of them
compiles it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.plane import Plane


@pytest.fixture(scope="session", autouse=True)
def _byte_code(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        patch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path_factory.mktemp("pycache")))
        yield


@pytest.fixture
def planes(tmp_path: Path) -> Iterator[Callable[[str], Plane]]:
    made: list[Plane] = []

    def make(text: str) -> Plane:
        made.append(Plane(tmp_path / str(len(made)), text))
        return made[-1]

    yield make
    for plane in made:
        plane.stop()
        plane.kill()
