"""Hostile scripts against the real pool: none reaches what it wants, none hurts another script."""

from __future__ import annotations

import re

from tests.attacks.run import HERE, measure


async def test_no_attack_succeeds_and_the_next_batch_of_another_script_is_right() -> None:
    attacks, _ = await measure([HERE], timeout=0.2)
    assert len(attacks) > 80
    assert [row for row in attacks if not row.good] == []


def test_every_attack_says_what_it_is_after() -> None:
    for path in (*HERE.glob("python/*.py"), *HERE.glob("js/*.js")):
        identity, goal = path.read_text().splitlines()[:2]
        assert re.fullmatch(r"(# id: A|// id: B)\d{3}", identity), path
        assert identity.endswith(path.name.split("_")[0])
        assert goal.startswith(("# goal: ", "// goal: "))
