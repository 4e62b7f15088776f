"""`turnout new`: a destination or a transformation to start from, whose tests pass as they are.

The files are made from the templates in scaffold/. A destination is a package of its own, or a folder of
Turnout's own tree; a transformation is a script and its fixtures.
"""

from __future__ import annotations

import json
import keyword
import re
import shlex
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path, PurePath
from string import Template

import turnout
from dataplane.cli.options import CONFIG
from dataplane.cli.output import json_line, say
from dataplane.config.files import fixture_path, scripts
from dataplane.config.languages import SUFFIXES, Language
from destinations import registry
from turnout.errors import Fixable

__all__ = ["destination", "transformation"]

LONGEST = 40
_SECTION = f'[project.entry-points."{registry.GROUP}"]'
_TOOL = {
    "__init__.py": "class.py", "settings.py": "settings.py", "README.md": "README.md",
    "fixtures/identify.yaml": "identify.yaml", "fixtures/nobody.yaml": "nobody.yaml",
    "fixtures/track.yaml": "track.yaml",
}
"""Files of the tool's own folder, and the templates they are made from."""
_PACKAGE = {
    "pyproject.toml": "pyproject.toml", "README.md": "README.md", "config.yaml": "config.yaml",
    ".gitignore": "gitignore",
}
_SCRIPTS: dict[Language, str] = {"python": ".py", "javascript": ".js"}


def destination(slug: str, folder: Path | None, *, here: bool, force: bool, as_json: bool) -> None:
    """Write the files of a new destination; all of them, or none where something stands in the way.

    `folder` is that of the package (default: turnout-<slug>). In Turnout's own tree (`here`, or where no
    folder is given and this is its root) it is destinations/<slug>/ instead.
    """
    _good(slug)
    root = Path()
    ours = here or (folder is None and _tree(root))
    if here and not _tree(root):
        raise Fixable("--here makes a destination of Turnout's own tree: run it in the root of a checkout of Turnout")
    if ours:
        made, steps = _in_tree(root, slug, force=force), _steps_here(slug)
    else:
        chosen = folder or Path(f"turnout-{_dashed(slug)}")
        made, steps = _package(chosen, slug, force=force), _steps(chosen, slug)
    for path, text in made.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    _say({"slug": slug}, made, steps, as_json=as_json)


def transformation(name: str, config: Path, language: Language, *, as_json: bool) -> None:
    """Write a script and its fixtures; neither of them where something of this name is there.

    They are put beside the first script that the config names, else into the folder transformations/ beside it.
    """
    _good_name(name)
    known = scripts(config)
    if name in known:
        raise Fixable(f"{config} has a transformation {name} already: choose another name")
    folder = Path(next(filter(None, known.values()), "transformations/_")).parent
    script = config.parent / folder / f"{name}{_SCRIPTS[language]}"
    fixtures = fixture_path(script)
    there = [path for path in (*(script.with_suffix(suffix) for suffix in SUFFIXES), fixtures) if path.exists()]
    if there:
        raise Fixable(f"exists already: {', '.join(map(str, there))}; choose another name")
    words = {"name": name, "file": script.name}
    made = {script: _filled("transformation", f"script{_SCRIPTS[language]}", words),
            fixtures: _filled("transformation", "test.yaml", words)}
    try:
        script.parent.mkdir(parents=True, exist_ok=True)
        for path, text in made.items():
            with path.open("x", encoding="utf-8") as opened:
                opened.write(text)
    except OSError as error:
        raise Fixable(f"{error.filename}: {error.strerror}") from None
    _say({"name": name, "language": language}, made, _steps_script(name, config, folder / script.name, script),
         as_json=as_json)


def _say(about: Mapping[str, str], made: Iterable[Path], steps: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        json_line({**about, "written": [str(path) for path in made], "next": steps})
        return
    for path in made:
        say(f"wrote {path}")
    say("next:")
    for number, step in enumerate(steps, 1):
        say(f"  {number}. {step}")


def _good_name(name: str) -> None:
    """Raises `Fixable` for what can be no transformation's id and file, with one that can."""
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name) is None or len(name) > LONGEST:
        near = re.sub(r"[^A-Za-z0-9_-]+", "_", PurePath(name).stem).strip("_-0123456789")[:LONGEST].rstrip("_-")
        hint = f"; {near} would be one" if near else ""
        raise Fixable(f"{name!r} can be no transformation's name: letters, digits, _ and -, a letter first, "
                      f"at most {LONGEST}{hint}")  # fmt: skip


def _good(slug: str) -> None:
    """Raises `Fixable` for what can be no `type:`, with one that can."""
    if re.fullmatch(r"[a-z][a-z0-9_]*", slug) is None or len(slug) > LONGEST or keyword.iskeyword(slug):
        near = re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", slug).lower()).strip("_0123456789")
        near = near[:LONGEST].rstrip("_")
        near = f"{near}_tool" if keyword.iskeyword(near) else near
        hint = f"; {near} would be one" if near else ""
        raise Fixable(
            f"{slug!r} can be no destination's type: small letters, digits and _, a letter first, "
            f"at most {LONGEST}, no word of Python{hint}"
        )


def _tree(root: Path) -> bool:
    """Whether this is the root of a checkout of Turnout."""
    project = root / "pyproject.toml"
    if not (project.is_file() and (root / "destinations" / "registry.py").is_file()):
        return False
    try:
        return bool(tomllib.loads(project.read_text(encoding="utf-8")).get("project", {}).get("name") == "turnout")
    except tomllib.TOMLDecodeError as error:
        raise Fixable(f"{project} is no TOML: {error}") from None


def _package(folder: Path, slug: str, *, force: bool) -> dict[Path, str]:
    if slug in registry.own():
        raise Fixable(f"{slug} comes with Turnout, and a package cannot replace it: choose another name")
    if folder.exists() and not force and (not folder.is_dir() or any(folder.iterdir())):
        raise Fixable(f"{folder} exists already (--force overwrites the files of a new destination in it)")
    package = f"turnout_{slug}"
    words = _words(slug, f"{package}.{slug}", ours=False)
    made = {folder / name: _filled("package", of, words) for name, of in _PACKAGE.items()}
    made[folder / package / "__init__.py"] = _filled("package", "init.py", words)
    made |= {folder / package / slug / name: _filled("destination", of, words) for name, of in _TOOL.items()}
    made[folder / "tests" / f"test_{slug}.py"] = _filled("destination", "test.py", words)
    return made


def _in_tree(root: Path, slug: str, *, force: bool) -> dict[Path, str]:
    place, test = root / "destinations" / slug, root / "tests" / "destinations" / f"test_{slug}.py"
    if place.with_suffix(".py").exists():
        raise Fixable(f"{place.with_suffix('.py')} is a module of Turnout: choose another name")
    there = [str(path) for path in (place, test) if path.exists()]
    if there and not force:
        raise Fixable(f"exists already: {', '.join(there)} (--force overwrites)")
    words = _words(slug, f"destinations.{slug}", ours=True)
    project = root / "pyproject.toml"
    made = {place / name: _filled("destination", of, words) for name, of in _TOOL.items()}
    made[test] = _filled("destination", "test.py", words)
    made[project] = _with_entry(project.read_text(encoding="utf-8"), slug, f"destinations.{slug}:{words['name']}")
    return made


def _with_entry(text: str, slug: str, value: str) -> str:
    """pyproject.toml with the entry point among the others, in their order."""
    before, found, rest = text.partition(f"{_SECTION}\n")
    if not found:
        raise Fixable(f"pyproject.toml has no section {_SECTION}")
    listed, gap, after = rest.partition("\n\n")
    lines = [line for line in listed.splitlines() if not line.startswith(f"{slug} =")]
    lines = sorted([*lines, f'{slug} = "{value}"'], key=lambda line: line.partition(" ")[0])
    return before + found + "\n".join(lines) + gap + after


def _words(slug: str, module: str, *, ours: bool) -> Mapping[str, str]:
    """What the templates have places for. Imports of one's own code come after Turnout's, where that is another's."""
    parts = [part for part in slug.split("_") if part]
    name = "".join(part.capitalize() for part in parts)
    if keyword.iskeyword(name) or name in turnout.__all__:
        name += "Tool"  # `Event` and the like are imported beside it
    title = " ".join(part.capitalize() for part in parts)
    names = f'"{title}", "{slug.upper()}"' if len(parts) > 1 else f'"{title}",'
    imports: dict[str, str] = {"gap": "\n" if ours else ""}
    for of, line in (("settings", f"from {module}.settings import {name}Settings\n"),
                     ("class", f"from {module} import {name}\n")):
        imports |= {f"{of}_before": line if ours else "", f"{of}_after": "" if ours else f"\n{line}"}
    return {
        **imports, "slug": slug, "dashed": _dashed(slug), "package": f"turnout_{slug}", "module": module, "name": name,
        "title": title, "names": names, "variable": f"{slug.upper()}_API_KEY", "version": turnout.__version__,
    }


def _dashed(slug: str) -> str:
    """As the names of packages are written."""
    return re.sub(r"_+", "-", slug).strip("-")


def _filled(group: str, name: str, words: Mapping[str, str]) -> str:
    text = files("dataplane").joinpath("cli", "scaffold", group, f"{name}.tmpl").read_text(encoding="utf-8")
    return Template(text).substitute(words)


def _steps(folder: Path, slug: str) -> list[str]:
    enter = "" if folder == Path() else f"cd {shlex.quote(str(folder))} && "
    return [
        f"{enter}python -m pip install -e . pytest && python -m pytest",
        f"say what is sent: turnout_{slug}/{slug}/__init__.py, settings.py and fixtures/, then the tests again "
        "(docs/write-a-destination.md)",
        f"""echo '{{"type": "track", "userId": "ada", "event": "Room Booked"}}' | turnout preview -d {slug}""",
    ]


def _steps_here(slug: str) -> list[str]:
    return [
        f"python -m pytest tests/destinations/test_{slug}.py",
        f"say what is sent: destinations/{slug}/__init__.py, settings.py and fixtures/, then the tests again "
        "(docs/write-a-destination.md)",
        f"python -m destinations.docs writes docs/destinations/{slug}.md: link it in docs/index.md",
    ]


def _steps_script(name: str, config: Path, written: Path, script: Path) -> list[str]:
    given = "" if config == CONFIG else f" --config {shlex.quote(str(config))}"
    file = str(written) if re.fullmatch(r"[\w./-]+", str(written)) else json.dumps(str(written))
    return [
        f"turnout test {shlex.quote(str(script))}{given}",
        f"say in {fixture_path(script).name} what it is to do, then in {script.name}, and test again",
        f"add to {config}, under transformations: `{name}: {{file: {file}}}`",
        f"and to the destination, or the source, whose events it is for: `transformation: {name}`",
        f"turnout plan{given} says what that changes, turnout reload puts it in force",
    ]
