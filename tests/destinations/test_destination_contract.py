"""Every destination the registry knows keeps the contract."""

from __future__ import annotations

from pathlib import Path

from destinations import registry
from turnout.destination import Destination
from turnout.testing import DestinationContract


def _told_apart(slug: str) -> bool:
    """Whether the contract must be told more of a destination, which its own test does: a tool, its look-ups."""
    kind = registry.find(slug)
    return kind.resumable or kind.exchange is not Destination.exchange


for _slug in registry.slugs():
    if _told_apart(_slug):
        continue
    _name = f"Test{_slug.title()}"
    globals()[_name] = type(_name, (DestinationContract,), {"destination": registry.find(_slug)})


def test_the_registry_is_covered() -> None:
    assert {"webhook", "file"} <= set(registry.slugs())
    for slug in registry.slugs():
        if _told_apart(slug):
            own = Path(__file__).with_name(f"test_{slug}.py").read_text()
            assert "(DestinationContract)" in own, f"test_{slug}.py does not run the contract"
