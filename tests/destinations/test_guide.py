"""The destination that docs/destinations.md teaches is a real one: its code, fixture and test run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

GUIDE = Path(__file__).parents[2] / "docs" / "destinations.md"


def test_the_guide_makes_a_destination_that_keeps_the_contract(pytester: pytest.Pytester) -> None:
    text = GUIDE.read_text(encoding="utf-8")
    code, test = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (fixture,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    package = pytester.mkpydir("turnout_mytool")
    folder = package / "mytool"
    (folder / "fixtures").mkdir(parents=True)
    (folder / "__init__.py").write_text(code)
    (folder / "fixtures" / "track.yaml").write_text(fixture)
    (folder / "README.md").write_text("# My Tool\n`api_key` and `dataset`.\n")
    pytester.makepyfile(test_mytool=test)
    result = pytester.inline_run("-p", "no:cacheprovider", "-p", "no:asyncio")
    passed, _, failed = result.listoutcomes()
    assert [report.location[2] for report in failed] == []
    assert len(passed) > 30


def test_the_guide_names_every_key_of_a_fixture_and_every_hook() -> None:
    from turnout import Destination
    from turnout.testing import Fixture

    text = GUIDE.read_text(encoding="utf-8")
    for name in Fixture.__dataclass_fields__.keys() - {"name"}:
        assert f"`{name}`" in text
    for hook in ("group", "merge", "judge", "verdicts", "exchange"):
        assert hasattr(Destination, hook)
        assert f"`{hook}(" in text
