"""Destinations are found without being imported, and what is missing is said with its cure."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from pydantic import ValidationError

from destinations import registry
from destinations.file import File
from destinations.webhook import Webhook
from turnout.errors import Fixable


def test_ours_are_found() -> None:
    assert registry.slugs() == tuple(sorted(registry.slugs()))
    assert registry.find("webhook") is Webhook
    assert registry.find("file") is File


def test_listing_imports_no_tool() -> None:
    code = (
        "import sys; from destinations import registry; print(registry.slugs());"
        "assert {m for m in sys.modules if m.startswith('destinations.')} == {'destinations.registry'};"
        "assert 'aiohttp' not in sys.modules"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "'webhook'" in out.stdout


@pytest.mark.parametrize(
    ("slug", "hint"),
    [("webhok", "did you mean webhook?"), ("WEBHOOK", "did you mean webhook?"), ("qq", "there are")],
)
def test_unknown_slugs_are_hinted_at(slug, hint) -> None:
    with pytest.raises(Fixable, match="unknown destination type") as caught:
        registry.find(slug)
    assert hint in str(caught.value)


def test_settings_are_validated_under_both_spellings() -> None:
    one = registry.build("webhook", {"webhook_url": "http://a.example/"})
    two = registry.build("webhook", {"webhookUrl": "http://a.example/", "webhookMethod": "POST"})
    assert one.settings == two.settings
    with pytest.raises(ValidationError, match="webhook_url"):
        registry.build("webhook", {})
    with pytest.raises(ValidationError) as caught:
        registry.build("webhook", {"webhook_url": "http://a.example/?k=mark", "headers": {"A\nB": "mark"}})
    assert "mark" not in str(caught.value)


def test_only_tools_that_are_not_http_have_a_client(tmp_path) -> None:
    hook = registry.build("webhook", {"webhook_url": "http://a.example/"})
    assert registry.client("webhook", hook.settings, base=tmp_path, delivery=hook.delivery) is None
    file = registry.build("file", {"path": "x"})
    assert registry.client("file", file.settings, base=tmp_path, delivery=file.delivery) is not None


@pytest.fixture
def plugins(tmp_path, monkeypatch):
    """A package with three destinations, found as an installed one would be."""
    (tmp_path / "plug_in_one.py").write_text(
        "from turnout import Destination\n"
        "class Tool(Destination):\n    slug = 'tool'\n    names = ('Tool',)\n"
        "class Other:\n    slug = 'other'\n"
    )
    (tmp_path / "plug_in_two.py").write_text("import no_such_vendor\n")
    (tmp_path / "plug_in_three.py").write_text("def (\n")
    (tmp_path / "plug_in_four.py").write_text("a = 1\na.no_such_thing\n")
    (tmp_path / "plug_in_five.py").write_text("raise ZeroDivisionError('by zero')\n")
    monkeypatch.syspath_prepend(tmp_path)
    entries = {
        name: EntryPoint(name, value, registry.GROUP)
        for name, value in {
            "tool": "plug_in_one:Tool", "other": "plug_in_one:Other", "absent": "plug_in_one:Absent",
            "vendor": "plug_in_two:Tool", "renamed": "plug_in_one:Tool", "broken": "plug_in_three:Tool",
            "raising": "plug_in_four:Tool", "astray": "plug_in_five:Tool",
        }.items()
    }
    monkeypatch.setattr(registry, "_others", lambda: entries)


@pytest.mark.usefixtures("plugins")
def test_plugins_are_found_and_checked() -> None:
    assert registry.find("tool").slug == "tool"
    assert {"tool", "webhook"} <= set(registry.slugs())
    for slug, said in {
        "other": "not a turnout.Destination", "absent": "does not exist", "vendor": "no_such_vendor",
        "renamed": "calls itself 'tool'", "broken": r"plug_in_three.py:1: SyntaxError",
        "raising": "plug_in_four.py:2: AttributeError", "astray": "plug_in_five.py:1: ZeroDivisionError: by zero",
    }.items():
        with pytest.raises(Fixable, match=said):
            registry.find(slug)


def test_a_missing_extra_is_named_with_its_cure(tmp_path, monkeypatch) -> None:
    import destinations

    folder = tmp_path / "stream"
    folder.mkdir()
    (folder / "__init__.py").write_text("import confluent_stream_sdk\n")
    monkeypatch.setattr(destinations, "__path__", [*destinations.__path__, str(tmp_path)])
    registry.own.cache_clear()
    try:
        with pytest.raises(Fixable, match=r"confluent_stream_sdk: pip install 'turnout\[stream\]'"):
            registry.find("stream")
    finally:
        monkeypatch.undo()
        registry.own.cache_clear()


@pytest.mark.parametrize(("key", "missing", "said"), [
    ("nonsense-key", False, "private key cannot be read"),
    ("nonsense-key", True, r"the package cryptography: pip install 'turnout\[jwt\]'"),
])  # fmt: skip
def test_credentials_that_cannot_be_used_are_said_by_the_check(
    tmp_path, monkeypatch, key: str, missing: bool, said: str
) -> None:
    from dataplane.config import check

    (tmp_path / "plug_in_signed.py").write_text(
        "from pydantic import Field, SecretStr\n"
        "from turnout import Destination, OAuth2, Settings\n"
        "class Chosen(Settings):\n    key: SecretStr = Field(description='Key.')\n"
        "class Tool(Destination):\n    slug = 'signed'\n    names = ('Signed',)\n    settings_type = Chosen\n"
        "    def __init__(self, settings):\n        super().__init__(settings)\n"
        "        key = settings.key.get_secret_value()\n"
        "        self.auth = OAuth2('https://t.example/', '', grant='jwt_bearer', private_key=key)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    entry = EntryPoint("signed", "plug_in_signed:Tool", registry.GROUP)
    monkeypatch.setattr(registry, "_others", lambda: {"signed": entry})
    if missing:
        monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.rsa", None)
    config = tmp_path / "config.yaml"
    config.write_text(
        "sources: {web: {write_key: k}}\n"
        f"destinations:\n  crm:\n    type: signed\n    settings: {{key: {key}}}\n"
    )
    (found,) = [one for one in check(config) if one.severity == "error"]
    assert re.search(said, found.message), found
    assert (found.line, found.path) == (5, "destinations.crm.settings")
    assert key not in str(found)


def test_entry_points_name_every_folder() -> None:
    """A wheel and a checkout offer the same."""
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    for slug in registry.own():
        assert f'\n{slug} = "destinations.{slug}:' in text
