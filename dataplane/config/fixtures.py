"""Fixtures beside a script, read with line and column: `drop_internal.test.yaml` for `drop_internal.py`."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from pydantic import ValidationError

from dataplane.config.diagnostic import InvalidConfig, Place, Report
from dataplane.config.document import Entry, Mapping, Sequence, Words, compose, plain
from dataplane.config.files import fixture_path
from dataplane.config.loader import read_text
from dataplane.config.sentences import tell
from transformations.fixture import Fixture, FixtureCase

__all__ = ["Fixtures", "read_fixtures"]

_WORDS = Words(
    empty="the file is empty; it needs `cases:`",
    several="a fixture file is one document; remove what follows this '---'",
    other="a fixture file is a mapping with `cases:`",
)


@dataclass(frozen=True, slots=True)
class Fixtures:
    """The cases of a file with the line that each begins at; `digest` tells one text from another."""

    file: str
    digest: str
    cases: tuple[FixtureCase, ...]
    lines: tuple[int, ...]


def read_fixtures(script: Path, shown: str = "") -> Fixtures | None:
    """The fixtures beside a script; None where there is no such file.

    `shown` is how errors name the script. Raises `InvalidConfig` with every finding.
    """
    path = fixture_path(script)
    if not path.exists():
        return None
    report = Report(str(fixture_path(Path(shown)) if shown else path))
    text = read_text(path, report, "a fixture file")
    root = None if text is None else compose(text.removeprefix("\ufeff"), report, _WORDS)
    fixture = None
    if root is not None:
        try:
            fixture = Fixture.model_validate(plain(root))
        except ValidationError as error:
            tell(error, Fixture, (), Entry(Place(1, 1), root), report)
    if text is None or root is None or fixture is None or report.failed:
        raise InvalidConfig(report.diagnostics())
    digest = sha256(text.encode()).hexdigest()[:16]
    return Fixtures(report.file, digest, tuple(fixture.whole()), tuple(_lines(root)))


def _lines(root: Mapping) -> list[int]:
    cases = root.entries["cases"].node
    return [item.place.line for item in cases.items] if isinstance(cases, Sequence) else []
