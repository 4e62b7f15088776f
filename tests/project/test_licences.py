"""The licence check reads SPDX expressions and old metadata, and is never satisfied by silence."""

from __future__ import annotations

from email.message import Message
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools import licences


def meta(**fields: str | list[str]) -> Message:
    message = Message()
    for name, values in fields.items():
        for value in [values] if isinstance(values, str) else values:
            message[name.replace("_", "-")] = value
    return message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("MIT OR GPL-3.0-only", True),
        ("MIT AND GPL-3.0-only", False),
        ("MIT AND (Apache-2.0 OR GPL-3.0-only)", True),
        ("GPL-3.0-only OR MIT AND Proprietary", False),
        ("(MIT)", True),
    ],
)
def test_an_expression_is_judged_by_its_operators(text: str, expected: bool) -> None:
    assert licences.allowed(text) is expected


@pytest.mark.parametrize("text", ["", "MIT OR", "(MIT", "MIT)", "MIT MIT", "MIT / Apache", "AND"])
def test_what_is_no_expression_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"SPDX|missing|bracket"):
        licences.allowed(text)


@given(st.recursive(
    st.sampled_from(["MIT", "Apache-2.0", "GPL-3.0-only", "Foo"]),
    lambda part: st.builds("({} {} {})".format, part, st.sampled_from(["AND", "OR"]), part),
))
def test_brackets_and_operators_mean_what_python_means_by_them(text: str) -> None:
    names = {"MIT": "True", "Apache-2.0": "True", "GPL-3.0-only": "False", "Foo": "False"}
    python = text.replace("AND", "and").replace("OR", "or")
    for name, value in names.items():
        python = python.replace(name, value)
    assert licences.allowed(text) is eval(python)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (meta(License_Expression="Apache-2.0"), "Apache-2.0"),
        (meta(Classifier="License :: OSI Approved :: MIT License"), "MIT"),
        (meta(License="BSD License"), "BSD-3-Clause"),
        (meta(License="MIT License\n\nPermission is hereby granted"), "MIT"),
        (meta(License="Do what you like"), ""),
        (meta(Classifier=["License :: OSI Approved :: MIT License", "License :: Other"]), ""),
        (meta(), ""),
    ],
)
def test_old_metadata_is_read_and_unknown_metadata_is_not_guessed(fields: Message, expected: str) -> None:
    assert licences.expression("x", fields) == expected


@pytest.mark.parametrize(
    "fields", [meta(), meta(License_Expression="GPL-3.0-only"), meta(License_Expression="MIT WITH x")]
)
def test_a_package_that_may_not_be_used_says_why(fields: Message) -> None:
    assert licences.verdict("nope", fields).startswith("nope: ")


def test_a_locked_package_that_is_not_installed_fails_the_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = tmp_path / "x.lock"
    lock.write_text("pytest==1\nno-such-package-here==1\nwindows-only==1 ; sys_platform == 'win32'\n")

    assert licences.main([str(lock)]) == 1
    said = capsys.readouterr()
    assert "no-such-package-here: it is locked but not installed" in said.err
    assert "not for this system: windows-only" in said.out


def test_an_empty_lock_is_no_success(tmp_path: Path) -> None:
    (tmp_path / "x.lock").write_text("")
    assert licences.main([str(tmp_path / "x.lock")]) == 1
