"""Scripts are put in force when their fixtures pass."""

from __future__ import annotations

from typing import Any

import pytest
from engine_kit import InProcess, Plant, Server, config, event

from turnout.errors import ConfigError

FIXTURES = "cases:\n  - {{name: doubles, event: {{n: 1}}, output: {{n: {n}}}}}\n"


class Versions(InProcess):
    """Runs the function named in the script's source, so that a file on disk decides."""

    async def trial(self, script: Any, items: Any, reach: Any = None) -> Any:
        self.functions["drop"] = self.functions[script.source.split()[-1]]
        return await super().trial(script, items, reach)


async def test_fixtures_decide_at_a_reload_and_a_start_trusts_what_was_in_force(plant: Plant, server: Server) -> None:
    plant.runner = Versions(double=lambda e: {"n": e["n"] * 2}, triple=lambda e: {"n": e["n"] * 3}, split=lambda e: e)
    script, fixtures = plant.folder / "drop.py", plant.folder / "drop.test.yaml"
    text = config(server.url, chain="[drop]")
    script.write_text("# double")
    fixtures.write_text(FIXTURES.format(n=3))
    with pytest.raises(ConfigError, match=r'drop\.test\.yaml:2: doubles: expected "n": 3, came out "n": 2'):
        await plant.start(text)
    await plant.stop()
    fixtures.write_text(FIXTURES.format(n=2))
    await plant.start(text)
    runs = len(plant.runner.runs)
    await plant.reload(text)
    assert len(plant.runner.runs) == runs  # has passed already
    script.write_text("# triple")
    with pytest.raises(ConfigError, match="doubles"):
        await plant.engine.prepare(plant.config(text))
    plant.engine.abort()
    assert plant.engine.couriers["hook"].plan.chain[0].source == "# double"
    script.write_text("# double")
    fixtures.write_text("cases: [")
    with pytest.raises(ConfigError, match=r"drop\.test\.yaml:2:1: a key"):
        await plant.engine.prepare(plant.config(text))
    await plant.stop()
    await plant.start(text)  # this version was in force: broken fixtures keep no event waiting
    plant.runner.functions["drop"] = lambda e: e
    await plant.send(event("ann", 1))
    await plant.until(lambda: len(server.taken) == 1)
