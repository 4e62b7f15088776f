"""Checks, offline, that the lock files are those of pyproject.toml; `python -m tools.locks`.

What cannot be checked without an index (is there a newer version?) is not checked: `make lock` does it.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

__all__ = ["Pin", "findings", "main", "read"]

GROUPS = {
    "requirements.lock": (True, ()),
    "requirements-dev.lock": (True, ("test", "sdk", "check", "build")),
    "requirements-build.lock": (False, ("build",)),
}
"""What each lock holds: whether the project's own dependencies, and which dependency groups."""

_PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)\s*(?:;\s*(?P<marker>[^\\]+?))?\s*\\?$")


@dataclass(frozen=True, slots=True)
class Pin:
    """One line of a lock: canonical name, version, marker ("" where it always applies), hashes."""

    name: str
    version: str
    marker: str = ""
    hashes: tuple[str, ...] = field(default=(), repr=False)

    @property
    def applies(self) -> bool:
        """True where this interpreter and system are among those it is for."""
        return not self.marker or Marker(self.marker).evaluate()


def read(text: str) -> list[Pin]:
    """The pins of a lock file; raises ValueError for a line that is none, an option or an address."""
    pins: list[Pin] = []
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        if stripped.startswith("--hash=") and pins:
            last = pins[-1]
            value = stripped.removeprefix("--hash=").rstrip("\\ ")
            pins[-1] = Pin(last.name, last.version, last.marker, (*last.hashes, value))
        elif found := _PIN.match(stripped):
            name = str(canonicalize_name(found["name"]))
            pins.append(Pin(name, found["version"], (found["marker"] or "").strip()))
        else:
            raise ValueError(f"line {number} is neither a pin nor a hash: {stripped[:60]}")
    return pins


def findings(project: Mapping[str, Any], locks: Mapping[str, str]) -> list[str]:
    """What is wrong, one sentence each; empty where everything agrees.

    `project` is pyproject.toml decoded; `locks` maps the names in `GROUPS` to their text.
    """
    found: list[str] = []
    read_locks: dict[str, dict[str, Pin]] = {}
    for name, (own, groups) in GROUPS.items():
        try:
            pins = read(locks[name])
        except ValueError as error:
            found.append(f"{name}: {error}")
            continue
        read_locks[name] = {pin.name: pin for pin in pins}
        found += [f"{name}: {pin.name} has no hash" for pin in pins if not pin.hashes]
        wanted = list(project["project"]["dependencies"]) if own else []
        for group in groups:
            wanted += project["dependency-groups"][group]
        found += [f"{name}: {what}" for what in _unmet(map(Requirement, wanted), read_locks[name])]
    dev = read_locks.get("requirements-dev.lock", {})
    for name, by_name in read_locks.items():
        for pin in by_name.values():
            if dev and (pin.name not in dev or dev[pin.name].version != pin.version):
                found.append(f"{name}: {pin.name}=={pin.version} is not what requirements-dev.lock has")
    return found


def _unmet(wanted: Iterable[Requirement], pins: Mapping[str, Pin]) -> list[str]:
    found = []
    for requirement in wanted:
        pin = pins.get(canonicalize_name(requirement.name))
        if pin is None:
            found.append(f"{requirement} is not in it")
        elif not SpecifierSet(str(requirement.specifier)).contains(pin.version, prereleases=True):
            found.append(f"{requirement} is wanted, {pin.name}=={pin.version} is pinned")
    return found


def _incomplete(pins: Mapping[str, Pin]) -> list[str]:
    """Requirements of the installed packages that the lock does not hold: a lock that pip would refuse."""
    found = []
    for pin in pins.values():
        try:
            requires = distribution(pin.name).requires or []
        except PackageNotFoundError:
            continue  # for another system; the licence check names what should be installed and is not
        parsed = map(Requirement, requires)
        needed = [r for r in parsed if r.marker is None or r.marker.evaluate({"extra": ""})]
        found += [f"{pin.name} needs what is missing: {what}" for what in _unmet(needed, pins)]
    return found


def main(folder: Path = Path()) -> int:
    """Print what is wrong; 0 where nothing is."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())
    texts = {name: (folder / name).read_text() for name in GROUPS}
    found = findings(project, texts)
    if not found:
        for name, text in texts.items():
            found += [f"{name}: {what}" for what in _incomplete({pin.name: pin for pin in read(text)})]
    for what in found:
        print(what, file=sys.stderr)
    if found:
        print("the locks do not fit pyproject.toml; run: make lock", file=sys.stderr)
        return 1
    print("locks fit pyproject.toml: " + ", ".join(f"{name} ({len(read(t))})" for name, t in texts.items()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
