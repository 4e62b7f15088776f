"""What an event holds never steers the terminal that shows it."""

from __future__ import annotations

import pytest

from dataplane.cli.output import counted, cut, say, table, warn

HOSTILE = "boom \x1b[31m\x07\x00\x9b2J"
SHOWN = r"boom \x1b[31m\x07\x00\x9b2J"


def test_control_characters_are_made_visible(capsys: pytest.CaptureFixture[str]) -> None:
    say(f"{HOSTILE}\n\tnext")
    warn(HOSTILE)
    table("", ("reason", "lines"), [(HOSTILE, "one\ntwo")])
    out, err = capsys.readouterr()
    assert out.startswith(f"{SHOWN}\n\tnext\n")
    assert err == f"{SHOWN}\n"
    assert out.splitlines()[3].split("  ")[:2] == [SHOWN, r"one\ntwo"]


def test_a_truth_is_yes_or_no_and_nothing_is_empty(capsys: pytest.CaptureFixture[str]) -> None:
    table("", ("open", "full", "at"), [(True, False, None)])
    assert capsys.readouterr().out.splitlines()[1].split() == ["yes", "no"]


@pytest.mark.parametrize(
    ("text", "said"), [("", ""), ("12345", "12345"), ("123456", "1234…"), ("1\x00", r"1\x00"), ("\x00\x00", r"\x00…")]
)
def test_a_text_is_cut_as_it_is_shown(text: str, said: str) -> None:
    assert cut(text, 5) == said


@pytest.mark.parametrize(("number", "said"), [(0, "0 events"), (1, "1 event"), (1204, "1,204 events")])
def test_one_is_singular(number: int, said: str) -> None:
    assert counted(number, "event") == said
