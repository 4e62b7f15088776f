"""Every destination the registry knows keeps the contract."""

from __future__ import annotations

from destinations import registry
from turnout.testing import DestinationContract

for _slug in registry.slugs():
    _name = f"Test{_slug.title()}"
    globals()[_name] = type(_name, (DestinationContract,), {"destination": registry.find(_slug)})


def test_the_registry_is_covered() -> None:
    assert {"webhook", "file"} <= set(registry.slugs())
