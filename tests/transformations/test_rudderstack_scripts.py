"""Scripts as RudderStack's tutorials and documentation have them, run unchanged.

Sources: https://www.rudderstack.com/docs/transformations/templates/ and /docs/transformations/libraries/
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from tests.transformations.conftest import item
from transformations import Pool
from transformations.base import Failed, Library, Script

pytestmark = pytest.mark.asyncio(loop_scope="module")

SEED = """
import {rudderEmail} from 'isRudderEmail';
export function transformEvent(event) {
  if (!rudderEmail(event.context.traits.email)) { return event; }
  return;
}
"""
IS_RUDDER_EMAIL = "export function rudderEmail(email) { return /@rudderstack\\.com$/i.test(email); }\n"

HASH = """
import { sha256 } from "@rs/hash/v1";

export function transformEvent(event, metadata) {
  const email = event.context?.traits?.email;
  if (email) event.context.traits.email = sha256(email);
  return event;
}
"""
SAMPLE = """
import { cyrb53 } from "@rs/hash/v1";

export function transformEvent(event, metadata) {
  const userId = event.userId;
  if (userId && parseInt(cyrb53(userId)) % 10 < 5) return;
  return event;
}
"""


async def made(pool: Pool, source: str, *events: dict[str, Any], libraries: tuple[Library, ...] = ()) -> list[Any]:
    script = Script("case", source, file="case.js", language="javascript", libraries=libraries)
    results = await pool.run(script, [item({"messageId": str(n), **event}) for n, event in enumerate(events)])
    return [ran.reason if isinstance(ran, Failed) else [json.loads(raw) for raw in ran.events] for ran in results]


@pytest.mark.parametrize("name", ["isRudderEmail", "is rudder email", "Is_Rudder_Email"])
async def test_the_seed_example_of_the_tutorials(pool: Pool, name: str) -> None:
    libraries = (Library(name, IS_RUDDER_EMAIL, "isRudderEmail.js", "javascript"),)
    ours = {"event": "Order Completed", "context": {"traits": {"email": "ann@RudderStack.com"}}}
    other = {"event": "Order Completed", "context": {"traits": {"email": "ann@example.com"}}}
    first, second, third = await made(pool, SEED, ours, other, {"event": "No context"}, libraries=libraries)
    assert (first, second) == ([], [{"messageId": "1", **other}])
    assert "case.js:4: TypeError" in third


async def test_hash_and_sampling_templates(pool: Pool) -> None:
    ((hashed,), (bare,)) = await made(pool, HASH, {"context": {"traits": {"email": "a@b.co"}}}, {"event": "x"})
    assert hashed["context"]["traits"]["email"] == hashlib.sha256(b"a@b.co").hexdigest()
    assert bare == {"messageId": "1", "event": "x"}
    users = [{"userId": f"u{n}"} for n in range(200)]
    kept = [bool(one) for one in await made(pool, SAMPLE, *users, {"anonymousId": "a"})]
    assert kept[-1]
    assert 70 < sum(kept) < 130
    assert kept == [bool(one) for one in await made(pool, SAMPLE, *users, {"anonymousId": "a"})]
