"""The pages of docs/destinations are what the classes, READMEs and fixtures say today."""

from __future__ import annotations

import pytest

from destinations import docs, registry
from turnout import Rule


def test_no_page_is_stale() -> None:
    assert docs.stale() == [], "run: python -m destinations.docs"


def test_no_page_is_left_over() -> None:
    assert {path.stem for path in docs.FOLDER.glob("*.md")} == set(registry.own())


@pytest.mark.parametrize("slug", sorted(registry.own()))
def test_a_page_names_every_setting_and_shows_every_fixture(slug) -> None:
    page = docs.page(slug)
    for name in registry.find(slug).settings_type.model_fields:
        assert f"| `{name}` |" in page
    assert page.count("\nGiven\n") == page.count("```yaml") / 2


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
