"""Pauses beside the config: twice is harmless, names must exist, renames are followed."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataplane.config import parse
from dataplane.config.pauses import KINDS, Pause, Pauses, check
from turnout.errors import Fixable, FormatError

CONFIG = """
sources: {web: {write_key: k}}
transformations: {clean: {file: clean.py}}
destinations:
  crm: {type: file, settings: {path: x}}
  mail: {type: file, settings: {path: y}, was: post}
"""


def pause(kind: str = "destination", name: str = "crm", reason: str = "", by: str = "ann") -> Pause:
    return Pause(kind, name, "2026-01-01T00:00:00.000Z", by, reason)


def test_pausing_twice_keeps_who_and_when_and_takes_a_new_reason() -> None:
    once = Pauses().added(pause(reason="moving"))
    assert once.added(pause(by="bob")) is once
    again = once.added(pause(by="bob", reason="still moving"))
    assert again.pauses == (pause(reason="still moving"),)
    assert again.removed("destination", "crm") == Pauses()
    assert again.removed("source", "crm") is again


def test_a_removed_thing_is_forgotten_and_a_renamed_one_carried_over() -> None:
    config = parse(CONFIG, "config.yaml", {})
    sources = (pause("source", "app"), pause("source", "web"))
    found = Pauses(pauses=(pause(), pause(name="post"), pause(name="gone"), *sources)).following(config)
    assert [p.name for p in found.pauses] == ["crm", "mail", "web"]
    assert found.following(config) is found


@pytest.mark.parametrize(
    ("kind", "name", "reason", "said"),
    [
        ("destination", "crmx", "", "there is no destination crmx (did you mean crm?)"),
        ("source", "zzz", "", "there is no source zzz; there is web"),
        ("lane", "crm", "", "kind is one of destination, source, transformation"),
        ("destination", 7, "", "there is no destination of this name"),
        ("destination", "crm", "a\nb", "reason is one line of text"),
        ("destination", "crm", "x" * 501, "reason is one line of text"),
        ("destination", "crm", None, "reason is one line of text"),
    ],
)
def test_what_is_asked_wrongly_is_told(kind: object, name: object, reason: object, said: str) -> None:
    with pytest.raises(Fixable) as refused:
        check(parse(CONFIG, "config.yaml", {}), kind, name, reason)
    assert said in str(refused.value)


def test_a_config_without_any_says_so() -> None:
    with pytest.raises(Fixable, match="there is no transformation clean; the config has none"):
        check(parse("sources: {web: {write_key: k}}\n", "config.yaml", {}), "transformation", "clean")


@given(st.lists(st.builds(pause, st.sampled_from(KINDS), st.text(max_size=5), st.text(max_size=9)), max_size=6))
def test_what_is_kept_is_read_again(rows: list[Pause]) -> None:
    pauses = Pauses(pauses=tuple(rows))
    assert Pauses.read(msgspec.json.encode(pauses)) == pauses
    assert Pauses.of(pauses.plain()) == pauses


@given(st.binary(max_size=60))
def test_damaged_files_are_told_and_never_guessed(data: bytes) -> None:
    try:
        Pauses.read(data)
    except FormatError:
        return
    assert msgspec.json.decode(data) is not None


@pytest.mark.parametrize("text", ['{"version":2,"pauses":[]}', '{"version":2,"pauses":{"other":1}}'])
def test_a_newer_file_is_refused(text: str) -> None:
    with pytest.raises(FormatError, match="newer Turnout"):
        Pauses.read(text.encode())
