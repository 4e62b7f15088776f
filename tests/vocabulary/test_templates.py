"""Templates: what Handlebars' documentation says they hold, and what strangers may make of them."""

from __future__ import annotations

import html
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.errors import Refused
from turnout.templates import Template, listed

BOOKING = {
    "name": "Ines",
    "event": "Cabin Booked",
    "nights": 3.0,
    "paid": False,
    "note": None,
    "properties": {"deck": "B & C", "berths": [1, 2], "guests": [{"name": "Ada"}, {"name": "Bo"}], "odd key": "yes"},
    "none": [],
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("", ""),
        ("no places", "no places"),
        ("{{name}}", "Ines"),
        ("{{ name }} did {{event}}", "Ines did Cabin Booked"),
        ("{{properties.deck}}", "B &amp; C"),
        ("{{{properties.deck}}} {{&properties.deck}}", "B & C B & C"),
        ("{{properties/deck}}", "B &amp; C"),
        ("{{properties.[odd key]}}", "yes"),
        ("{{properties.berths.[1]}}{{properties.guests.0.name}}{{properties.guests.length}}", "2Ada2"),
        ("{{properties.berths}}", "1,2"),
        ("{{nights}} {{paid}} [{{note}}] [{{nothing.at.all}}]", "3 false [] []"),
        ("a{{newline}}b", "a\nb"),
        ("{{!out}}a{{!-- out }} too --}}b", "ab"),
        (r"\{{name}} \\{{name}}", r"{{name}} \Ines"),
        ("{{this.name}} {{./name}} {{@root.name}}", "Ines Ines Ines"),
        ("{{#if name}}yes{{else}}no{{/if}}", "yes"),
        ("{{#if paid}}a{{else if note}}b{{else}}c{{/if}}", "c"),
        ("{{#if paid}}a{{else if name}}b{{/if}}", "b"),
        ("{{#if none}}a{{^}}b{{/if}}", "b"),
        ("{{#unless paid}}open{{/unless}}", "open"),
        ("{{#each properties.guests}}{{@index}}:{{name}}{{#unless @last}}, {{/unless}}{{/each}}", "0:Ada, 1:Bo"),
        ("{{#each properties.guests}}{{../event}}{{#if @first}}-{{../name}} {{/if}}{{/each}}",
         "Cabin Booked-Ines Cabin Booked"),
        ("{{#each properties.berths}}{{this}}{{.}}{{/each}}", "1122"),
        ("{{#each none}}x{{else}}empty{{/each}}", "empty"),
        ("{{#each properties}}{{@key}} {{/each}}", "deck berths guests odd key "),
        ("{{#with properties}}{{deck}}{{../name}}{{/with}}", "B &amp; CInes"),
        ("{{#properties.guests}}{{name}}{{/properties.guests}}", "AdaBo"),
        ("{{#properties}}{{deck}}{{/properties}}{{^note}}none{{/note}}", "B &amp; Cnone"),
        ("a {{~name~}} b", "aInesb"),
        ("Guests:\n{{#each properties.guests}}\n  {{#if name}}\n- {{name}}\n  {{/if}}\n{{/each}}\nend",
         "Guests:\n- Ada\n- Bo\nend"),
        ("a {{#if name}}b{{/if}} c", "a b c"),
        ("{{! a line of its own }}\nb", "b"),
    ],
)
def test_it_renders_what_handlebars_would(template, text) -> None:
    escape = lambda found: html.escape(found, quote=False)  # noqa: E731
    assert Template(template, escape=escape).render(BOOKING) == text


def test_an_object_is_its_members() -> None:
    member = {"deck": "B", "berths": [1, 2], "paid": True, "note": None, "cabin": {"no": 7}}
    assert listed(member) == 'deck: B berths: [1,2] paid: true cabin: {"no":7} '
    assert Template("{{cabin}}").render({"cabin": member}) == listed(member)


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("{{name", "without }}"), ("{{}}", "names nothing"), ("{{name.}}", "names nothing"),
        ("{{#if}}", "{{#if}} names nothing: {{#if path}}"),
        ("{{upper name}}", "no path"), ("{{#if name}}", "not closed by {{/if}}"), ("{{/if}}", "closes nothing"),
        ("{{#if a}}{{/each}}", "not closed"), ("{{else}}", "closes nothing"), ("{{a..b}}", "no path"),
        ("{{#if a}}" * 40 + "{{/if}}" * 40, "deep"),
    ],
)
def test_what_is_no_template_is_refused_with_a_sentence(template, told) -> None:
    with pytest.raises(ValueError, match=told):
        Template(template)


def test_loops_in_loops_over_a_strangers_list_end() -> None:
    square = Template("{{#each items}}{{#each ../items}}x{{/each}}{{/each}}")
    assert square.render({"items": [1] * 10}) == "x" * 100
    with pytest.raises(Refused, match="too much"):
        square.render({"items": [1] * 100_000})


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
)


@given(st.text(st.sampled_from("{}#/^&~!. \n\\abif else @index each"), max_size=40))
def test_any_text_is_a_template_or_says_why_not(text) -> None:
    with suppress(ValueError):
        assert isinstance(Template(text).render({"a": {"b": [1]}}), str)


@given(st.dictionaries(st.sampled_from("abc"), JSON, max_size=3))
def test_any_context_renders(context) -> None:
    text = Template("{{a}}{{a.b}}{{#each a}}{{.}}{{@key}}{{../b.c}}{{else}}-{{/each}}{{#b}}{{a}}{{/b}}")
    assert isinstance(text.render(context), str)


@given(st.text().filter(lambda text: "{{" not in text))
def test_a_text_without_places_stays_as_it_is(text) -> None:
    assert Template(text).render({}) == text
