"""What the standard library would do for a script's own objects: keep them, show them things, read their memory."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from tests.transformations.conftest import Run
from transformations.base import Failed

pytestmark = pytest.mark.asyncio(loop_scope="module")
LYING_MASK = """import ipaddress
class Mask:
    def __hash__(self):
        return hash("26")
    def __eq__(self, other):
        return True
    def isascii(self):
        return True
    def isdigit(self):
        return True
    def __int__(self):
        return 8
def transformEvent(event, metadata):
    if event.get("first"):
        ipaddress.ip_network(("10.0.0.0", Mask()), strict=False)
        ipaddress.ip_network(("2001:db8::", Mask()), strict=False)
    six = str(ipaddress.ip_network("2001:db8:1::/26", False))
    return {"four": str(ipaddress.ip_network("10.1.2.0/26", False)), "six": six}
"""


async def test_caches_of_the_standard_library_do_not_outlive_a_batch(run: Run) -> None:
    right = {"four": "10.1.2.0/26", "six": "2001:d80::/26"}
    changed, after = (await run(LYING_MASK, {"first": True})), await run(LYING_MASK, {})
    assert changed != [[right]], "or this test says nothing"
    assert after == [[right]]


@pytest.mark.parametrize("call", ["wrap(text)", "fill(text)", "shorten(text, 9)", "dedent(text)", "indent(text, 'x')"])
async def test_textwrap_takes_text_and_nothing_that_calls_itself_so(run: Run, call: str) -> None:
    source = f"""import textwrap
class Text:
    def expandtabs(self, size):
        return self
    def translate(self, table):
        table[97] = "changed"
        return "b"
def transformEvent(event, metadata):
    text = "a a" if event["good"] else Text()
    return {{"made": textwrap.{call}}}
"""
    name = call.partition("(")[0]
    (refused,) = await run(source, {"good": False})
    assert refused == Failed(f"case.py:10: TypeError: textwrap.{name}() takes text")
    ((made,),) = await run(source, {"good": True})
    assert "changed" not in str(made)


async def test_a_hash_is_named_by_text_that_says_the_same_twice(run: Run) -> None:
    source = """import hashlib
class Name:
    looks = 0
    def lower(self):
        self.looks = self.looks + 1
        return "sha256" if self.looks == 1 else "__getattribute__"
def transformEvent(event, metadata):
    name = event.get("name") or Name()
    return {"made": hashlib.new(name, b"__builtins__").hexdigest()[:8]}
"""
    (lying,) = await run(source, {})
    assert lying == Failed("case.py:9: ValueError: unsupported hash type <Name object>")
    assert await run(source, {"name": "SHA256"}) == [[{"made": hashlib.sha256(b"__builtins__").hexdigest()[:8]}]]


@pytest.mark.parametrize("number", ["2e-323", "5.0", "Number()"])
async def test_the_number_of_a_uuid_is_one(run: Run, number: str) -> None:
    """orjson takes `int` for a number in memory, and would write what lies beside another object."""
    source = f"""import uuid
class Number:
    def __ge__(self, other):
        return True
    def __lt__(self, other):
        return True
    def __gt__(self, other):
        return True
    def __le__(self, other):
        return True
def transformEvent(event, metadata):
    kind = uuid.UUID if event["plain"] else type(uuid.uuid4())
    return {{"good": kind(int=7), "bad": kind(int={number})}}
"""
    for plain in (True, False):
        (refused,) = await run(source, {"plain": plain})
        assert isinstance(refused, Failed)
        assert refused.reason == "case.py:13: TypeError: the int of a UUID is a number"
    good = f"import uuid\ndef transformEvent(event, metadata):\n    return {{'id': uuid.UUID('{'0' * 31}7')}}\n"
    assert await run(good, {}) == [[{"id": "00000000-0000-0000-0000-000000000007"}]]


@pytest.mark.parametrize(("source", "said"), [
    ("raise ValueError('half \\ud83d')", "case.py:1: ValueError: half \ufffd"),
    ("def transformEvent(event, metadata):\n    raise ValueError('half \\ud83d')", "case.py:2: ValueError: half ?"),
])  # fmt: skip
async def test_errors_with_half_a_character_are_errors(run: Run, source: str, said: str) -> None:
    assert await run(source, {}) == [Failed(said)]


async def test_what_is_left_of_a_generator_does_not_reach_the_next_batch(run: Run) -> None:
    source = """def waiting(kept):
    try:
        yield
    finally:
        kept.append(fetch("https://a.example/"))
def transformEvent(event, metadata):
    ring = []
    held = waiting(ring)
    ring.append(held)
    next(held)
    return {"n": len([[i] for i in range(event["n"])])}
"""
    wanted: list[Any] = [[{"n": 120_000}]]
    for _ in range(3):
        assert await run(source, {"n": 120_000}) == wanted
