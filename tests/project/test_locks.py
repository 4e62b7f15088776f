"""The lock check finds what no longer fits, and the locks of this checkout fit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools import locks

ROOT = Path(__file__).parents[2]
HASH = "    --hash=sha256:" + "0" * 64
PROJECT = {
    "project": {"dependencies": ["alpha>=2"]},
    "dependency-groups": {"test": ["beta>=1"], "sdk": [], "check": [], "build": ["gamma"]},
}
GOOD = {
    "requirements.lock": f"alpha==2.1 \\\n{HASH}\n",
    "requirements-dev.lock": "".join(f"{n}==2.1 \\\n{HASH}\n" for n in ("alpha", "beta", "gamma")),
    "requirements-build.lock": f"gamma==2.1 \\\n{HASH}\n    # via turnout\n",
}


def changed(name: str, old: str, new: str) -> dict[str, str]:
    lock = f"requirements{name}.lock"
    return {**GOOD, lock: GOOD[lock].replace(old, new)}


def test_locks_that_fit_have_no_findings() -> None:
    assert locks.findings(PROJECT, GOOD) == []


@pytest.mark.parametrize(
    ("texts", "finding"),
    [
        (changed("", "alpha==2.1", "alpha==1.9"), "alpha>=2 is wanted, alpha==1.9 is pinned"),
        (changed("-dev", "beta==2.1", "delta==2.1"), "beta>=1 is not in it"),
        (changed("-build", "gamma==2.1", "gamma==2.2"), "is not what requirements-dev.lock has"),
        (changed("", HASH, ""), "alpha has no hash"),
        (changed("", HASH, "--index-url https://example.org\n"), "neither a pin nor a hash"),
    ],
)
def test_a_lock_that_does_not_fit_is_named_with_the_reason(texts: dict[str, str], finding: str) -> None:
    assert [f for f in locks.findings(PROJECT, texts) if finding in f]


def test_a_marker_decides_where_a_pin_applies() -> None:
    one, other = locks.read("a==1 ; sys_platform == 'win32' \\\nb==1 ; sys_platform != 'win32' \\\n")
    assert (one.marker, one.applies) == ("sys_platform == 'win32'", False)
    assert other.applies


@given(st.text(max_size=200))
def test_reading_any_text_gives_pins_or_a_value_error(text: str) -> None:
    try:
        pins = locks.read(text)
    except ValueError:
        return
    assert all(pin.name and pin.version for pin in pins)


def test_the_locks_of_this_checkout_fit(capsys: pytest.CaptureFixture[str]) -> None:
    assert locks.main(ROOT) == 0, capsys.readouterr().err


@pytest.mark.parametrize("name", [*locks.GROUPS, "tests/sdk/node/package-lock.json"])
def test_no_lock_names_where_packages_are_downloaded(name: str) -> None:
    text = (ROOT / name).read_text()
    assert not re.search(r'--(extra-)?index-url|--find-links|"resolved"|@ (https?|file):', text)
