"""The pages of docs/destinations are what the classes, READMEs and fixtures say today."""

from __future__ import annotations

import pytest
import yaml

from destinations import docs, registry
from turnout import Rule


def test_no_page_is_stale() -> None:
    assert docs.stale() == [], "run: python -m destinations.docs"


def test_no_page_is_left_over() -> None:
    assert {path.stem for path in docs.FOLDER.glob("*.md")} == {"README", *registry.own()}


def test_the_list_has_every_destination_and_what_it_does() -> None:
    rows = docs.listing().splitlines()
    for slug in registry.own():
        title, what = docs.summary(slug)
        assert title
        assert len(what) > 20
        assert any(f"({slug}.md)" in row and what.replace("|", "\\|") in row for row in rows)


@pytest.mark.parametrize("slug", sorted(registry.own()))
def test_what_to_begin_with_is_a_destination_that_can_be_built(slug) -> None:
    text = docs.page(slug).partition("### To begin with")[2].partition("```yaml\n")[2].partition("```")[0]
    found = yaml.safe_load(text)["destinations"][slug]
    registry.build(found["type"], found.get("settings", {}))
    shown = registry.find(slug).settings_type.model_fields
    for name in found.get("settings", {}):
        if "Secret" in str(shown[name].annotation):
            assert found["settings"][name] == shown[name].examples[0], "a secret is an example, not a fixture's key"


@pytest.mark.parametrize("slug", sorted(registry.own()))
def test_a_page_names_every_setting_and_shows_every_fixture(slug) -> None:
    page = docs.page(slug)
    for name in registry.find(slug).settings_type.model_fields:
        assert f"| `{name}` |" in page
    examples = page.partition("\n## Examples\n")[2]
    assert examples.count("\nGiven\n") == examples.count("```yaml") / 2


def test_a_page_shows_the_rules_of_its_tool(monkeypatch) -> None:
    assert "### Answers of the tool" not in docs.page("webhook")
    rules = (Rule("throttle", "too many | calls", status=(200, 429), path="code", values=(7, "a"), after=2.5),
             Rule("dead", "refused", text="no"))
    monkeypatch.setattr(registry.find("webhook"), "rules", rules)
    page = docs.page("webhook")
    assert '| 200, 429 | `code` is `7` or `"a"` | throttle, after 2.5 s | too many \\| calls |' in page
    assert "| every error | the text `no` | dead | refused |" in page


def test_checking_says_which_page_is_stale(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(docs, "FOLDER", tmp_path / "new")
    assert docs.main(["--check"]) == 1
    assert "docs/destinations/webhook.md is stale" in capsys.readouterr().err
    assert docs.main([]) == 0
    assert docs.main(["--check"]) == 0
