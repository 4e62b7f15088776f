"""Every destination the registry knows keeps the contract."""

from __future__ import annotations

from pathlib import Path

from destinations import registry
from turnout.testing import DestinationContract

for _slug in registry.slugs():
    if registry.find(_slug).resumable:
        continue  # its own test has the tool that the contract wants for it
    _name = f"Test{_slug.title()}"
    globals()[_name] = type(_name, (DestinationContract,), {"destination": registry.find(_slug)})


def test_the_registry_is_covered() -> None:
    assert {"webhook", "file"} <= set(registry.slugs())
    for slug in registry.slugs():
        if registry.find(slug).resumable:
            own = Path(__file__).with_name(f"test_{slug}.py").read_text()
            assert "(DestinationContract)" in own, f"test_{slug}.py does not run the contract"
