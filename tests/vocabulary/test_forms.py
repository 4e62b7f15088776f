"""Forms are what the standard library makes of them, whatever stands in them."""

from __future__ import annotations

from urllib.parse import urlencode

from hypothesis import given
from hypothesis import strategies as st

from turnout import Form

TEXTS = st.text(max_size=30) | st.text(alphabet="".join(map(chr, range(128))), max_size=30)


@given(st.dictionaries(TEXTS, TEXTS | st.lists(TEXTS, max_size=3), max_size=4))
def test_a_form_is_quoted_as_the_standard_library_does(fields: dict[str, str | list[str]]) -> None:
    assert Form(fields).encode()[0] == urlencode(fields, doseq=True, errors="replace").encode()


def test_every_character_of_ascii_is_quoted() -> None:
    whole = "".join(map(chr, range(128)))
    assert Form({whole: whole}).encode()[0] == urlencode({whole: whole}).encode()


def test_half_a_character_does_no_harm() -> None:
    assert Form({"a": "\ud800"}).encode()[0] == b"a=%3F"
