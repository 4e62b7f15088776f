"""One page per destination, made from its class, README and fixtures.

`python -m destinations.docs` writes docs/destinations/<slug>.md and the list of them, README.md; `--check` only says
what is stale.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import dropwhile, takewhile
from pathlib import Path
from typing import Any

import yaml
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from destinations import registry
from turnout.destination import Destination
from turnout.errors import Fixable
from turnout.rules import Rule
from turnout.settings import spellings

__all__ = ["FOLDER", "body", "listing", "main", "page", "stale", "summary"]

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "destinations"
LIST = "README"
"""Name of the page with the list of all; no slug has capitals."""
HEAD = "<!-- Made by `python -m destinations.docs` from the class, README and fixtures; do not edit. -->\n"


def page(slug: str) -> str:
    """The page of one of our destinations as Markdown; raises `Fixable` for an unknown slug."""
    return HEAD + (listing() if slug == LIST else body(slug))


def listing() -> str:
    """Our destinations, one a line, as Markdown."""
    rows = [(f"[{title}]({slug}.md)", f"`{slug}`", what) for slug in sorted(registry.own())
            for title, what in [summary(slug)]]
    told = "The destinations that come with Turnout. `turnout docs destination` lists them and those of installed " \
           "packages; [write a destination](../write-a-destination.md) makes another."
    return f"# Destinations\n\n{told}\n\n{_table(('tool', '`type:`', 'what it does'), rows)}\n"


def summary(slug: str) -> tuple[str, str]:
    """The tool's name and what is done for it: title and first sentence of the README; raises `Fixable`."""
    lines = _readme(registry.find(slug)).splitlines()
    first = " ".join(takewhile(str.strip, dropwhile(lambda line: not line.strip(), lines[1:])))
    return lines[0].removeprefix("# "), re.split(r"(?<=\.) (?=[A-Z`])", first, maxsplit=1)[0]


def body(slug: str) -> str:
    """What the page of a destination says, a plug-in's too; raises `Fixable` for an unknown slug."""
    kind = registry.find(slug)
    folder = _folder(kind)
    parts = [_readme(kind), "## Reference", _facts(kind), *_start(kind), "### Settings", _settings(kind),
             "### Delivery", _delivery(kind), *_answers(kind), "## Examples"]
    for path in sorted((folder / "fixtures").glob("*.yaml")):
        fixture = yaml.safe_load(path.read_text(encoding="utf-8"))
        parts.append(f"### {path.stem}\n\n{fixture.get('about', '')}".rstrip())
        parts += _example(fixture)
    return "\n\n".join(parts) + "\n"


def stale() -> list[str]:
    """Slugs of ours whose page is missing or differs from what would be written."""
    return [slug for slug in (LIST, *sorted(registry.own())) if _read(slug) != page(slug)]


def _folder(kind: type[Destination[Any]]) -> Path:
    return Path(sys.modules[kind.__module__].__file__ or "").parent


def _readme(kind: type[Destination[Any]]) -> str:
    return (_folder(kind) / "README.md").read_text(encoding="utf-8").rstrip()


def _read(slug: str) -> str:
    path = FOLDER / f"{slug}.md"
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _facts(kind: type[Destination[Any]]) -> str:
    rows = {
        "`type:` in config.yaml": f"`{kind.slug}`",
        "names in the integrations object": ", ".join(f"`{name}`" for name in kind.names),
        "event types": ", ".join(sorted(kind.kinds)),
        "integrations options it reads": ", ".join(f"`{o}`" for o in sorted(kind.options)) or "none",
        "speaks": "its own protocol (`client.py`)" if kind.records else "HTTP",
    }
    if kind.forgets:
        rows["deletes users"] = f"yes, {kind.forgets} in a request (`turnout forget`: [privacy](../privacy.md))"
    if kind.resumable:
        rows["jobs"] = "yes: what is under way goes on after a restart ([how](../destinations.md))"
    return _table(("", ""), rows.items())


def _start(kind: type[Destination[Any]]) -> list[str]:
    """What to put into config.yaml first: the required settings with their examples.

    Where the tool wants more than what is required by itself (one of several ways to log in), those of its
    shortest fixture. Secrets are examples in either case.
    """
    fields = kind.settings_type.model_fields
    examples = {name: info.examples[0] for name, info in fields.items() if info.examples}
    required = {name: examples[name] for name, info in fields.items() if info.is_required() and name in examples}
    fixtures = (yaml.safe_load(path.read_text(encoding="utf-8"))["settings"]
                for path in sorted((_folder(kind) / "fixtures").glob("*.yaml")))
    shown = [{name: examples.get(name, value) if "Secret" in str(fields[name].annotation) else value
              for name, value in given.items()} for given in fixtures if given.keys() <= fields.keys()]
    for settings in (required, *sorted(shown, key=lambda one: len(str(one)))):
        try:
            registry.build(kind.slug, settings)
        except (Fixable, ValueError):
            continue
        told = {"destinations": {kind.slug: {"type": kind.slug, **({"settings": settings} if settings else {})}}}
        return ["### To begin with", "In `config.yaml`; the id, here the type's name, is yours to choose.", _yaml(told)]
    return []


def _settings(kind: type[Destination[Any]]) -> str:
    rows = [
        (f"`{name}`", _spellings(name, info), _default(info), info.description or "", _code(info.examples))
        for name, info in kind.settings_type.model_fields.items()
    ]
    return _table(("setting", "also read from", "default", "meaning", "example"), rows)


def _spellings(name: str, info: FieldInfo) -> str:
    return ", ".join(f"`{n}`" for n in spellings(name, info))


def _default(info: FieldInfo) -> str:
    if info.is_required() or info.default is PydanticUndefined:
        return "required" if info.is_required() else ""
    return f"`{json.dumps(info.default, default=str)}`"


def _code(examples: Sequence[Any] | None) -> str:
    return f"`{json.dumps(examples[0], ensure_ascii=False)}`" if examples else ""


def _delivery(kind: type[Destination[Any]]) -> str:
    d = kind.delivery
    rows = [(f"`{name}`", _value(getattr(d, name))) for name in d.__dataclass_fields__]
    return "Each can be overridden under `delivery:`.\n\n" + _table(("field", "default"), rows)


def _answers(kind: type[Destination[Any]]) -> list[str]:
    if not kind.rules:
        return []
    rows = [
        (_status(rule), _held(rule), rule.outcome + (f", after {rule.after:g} s" if rule.after is not None else ""),
         rule.reason)
        for rule in kind.rules
    ]
    told = "The first line that holds decides; every other answer means what it does everywhere " \
           "([delivery](../delivery.md))."
    return ["### Answers of the tool", told, _table(("status", "in the answer", "outcome", "meaning"), rows)]


def _status(rule: Rule) -> str:
    if isinstance(rule.status, str | int):
        return str(rule.status)
    return ", ".join(map(str, sorted(rule.status))) or "every error"


def _held(rule: Rule) -> str:
    values = " or ".join(f"`{json.dumps(value, ensure_ascii=False)}`" for value in rule.values)
    found = f"`{rule.path}` {'is ' + values if values else 'is there'}" if rule.path else ""
    text = f"the text `{rule.text}`" if rule.text else ""
    return " and ".join(part for part in (found, text) if part)


def _value(value: Any) -> str:
    if isinstance(value, timedelta):
        seconds = value / timedelta(seconds=1)
        for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
            if seconds >= size and seconds % size == 0:
                return f"{seconds / size:g}{unit}"
        return f"{seconds * 1000:g}ms"
    return "none" if value is None else str(value)


def _example(fixture: Mapping[str, Any]) -> list[str]:
    told = {key: fixture[key] for key in ("settings", "trusted", "options", "event") if key in fixture}
    made = {key: fixture[key] for key in ("sends", "writes", "verdict", "reason") if key in fixture}
    said = "Turnout says" if "verdict" in made else "Turnout makes of it"
    parts = ["Given", _yaml(told), said, _yaml(made)]
    if "when" in fixture:
        rows = [
            (str(a["status"]) if "status" in a else a["error"],
             ", ".join(f"{k}: {v}" for k, v in a.get("headers", {}).items()),
             a["verdict"] + (f", after {a['after']:g} s" if "after" in a else ""))
            for a in fixture["when"]
        ]
        parts.append(_table(("answer", "headers", "verdict"), rows))
    return parts


def _yaml(value: Mapping[str, Any]) -> str:
    return f"```yaml\n{yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100).rstrip()}\n```"


def _table(head: Sequence[str], rows: Any) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(c).replace("|", "\\|") for c in line) + " |" for line in lines)


def main(arguments: Sequence[str]) -> int:
    """Write the pages, or with `--check` return 1 where one is stale."""
    found = stale()
    if "--check" in arguments:
        for slug in found:
            sys.stderr.write(f"docs/destinations/{slug}.md is stale: run python -m destinations.docs\n")
        return 1 if found else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for slug in found:
        (FOLDER / f"{slug}.md").write_text(page(slug), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
