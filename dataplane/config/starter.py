"""What `turnout init` writes: the demo config and the scripts it names."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable

__all__ = ["starter_files"]

_PARTS = ("config.yaml", "examples/libraries", "examples/transformations")


def starter_files() -> dict[str, bytes]:
    """Relative path (with `/`) and content of every file of a new folder, `config.yaml` first.

    In a wheel they lie in dataplane/cli/template, in a checkout in the repository's root. Raises
    FileNotFoundError where an installation has neither.
    """
    package = files("dataplane")
    template = package / "cli" / "template"
    root = template if (template / "config.yaml").is_file() else package / ".."
    found: dict[str, bytes] = {}
    for part in _PARTS:
        _collect(root.joinpath(*part.split("/")), part, found)
    return found


def _collect(item: Traversable, path: str, found: dict[str, bytes]) -> None:
    if item.is_dir():
        for inner in sorted(item.iterdir(), key=lambda entry: entry.name):
            if inner.name != "__pycache__" and not inner.name.startswith("."):
                _collect(inner, f"{path}/{inner.name}", found)
    else:
        found[path] = item.read_bytes()
