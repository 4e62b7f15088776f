"""Fixtures of every room: a real data plane and a real destination, in processes and threads of their own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from bench.plane import Plane
from bench.sink import Sink

# No test asserts how long something takes, and neither does the library for us: machines are busy.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

StartPlane = Callable[..., Plane]


@pytest.fixture
def data_plane(tmp_path: Path) -> Iterator[StartPlane]:
    """`data_plane(config_text)` runs `turnout run` in a folder of its own and gives a ready `Plane`.

    Further calls run further ones. `files={"scripts/x.py": "…"}` puts files beside config.yaml.
    All are stopped at the end; their output is shown when the test fails.
    """
    planes: list[Plane] = []

    def start(
        config: str, files: dict[str, str] | None = None, environ: dict[str, str] | None = None
    ) -> Plane:
        folder = tmp_path / f"plane{len(planes)}"
        for name, text in (files or {}).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        plane = Plane(folder, config, environ)
        planes.append(plane)
        return plane.start()

    yield start
    for plane in planes:
        plane.stop()
        if plane.output:
            # Captured by pytest: it is shown with the test's failure, and only then.
            sys.stdout.write(f"--- turnout run in {plane.folder.name}\n{plane.output}\n")


@pytest.fixture
def sink() -> Iterator[Sink]:
    """A destination that answers 200 and remembers: `sink.url`, `sink.events`, `sink.wait(...)`."""
    with Sink() as running:
        yield running
