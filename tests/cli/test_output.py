"""What an event holds never steers the terminal that shows it."""

from __future__ import annotations

import pytest

from dataplane.cli.output import counted, cut, say, table, warn
from dataplane.cli.status import _destinations

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


@pytest.mark.parametrize(("jobs", "said"), [(0, ""), (1, "  crm: 1 job under way"), (12, "  crm: 12 jobs under way")])
def test_the_status_of_a_destination_says_its_jobs(jobs: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    counts = dict.fromkeys(
        ("delivered", "filtered", "dead", "revived", "discarded", "dropped", "archived", "pending", "unread"), 0
    )
    _destinations({"crm": {"type": "bulk", "state": "running", "jobs": jobs, **counts}})
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if "under way" in line] == ([f"{said} at the tool"] if said else [])
