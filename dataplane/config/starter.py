"""What `turnout init` writes: the demo config, the scripts it names, and their fixtures."""

from __future__ import annotations

from importlib.resources import files

__all__ = ["starter_files"]

_FILES = (
    "config.yaml",
    "examples/libraries/is_internal_email.py",
    "examples/transformations/drop_internal.py",
    "examples/transformations/drop_internal.test.yaml",
)


def starter_files() -> dict[str, bytes]:
    """Relative path (with `/`) and content of every file of a new folder, `config.yaml` first.

    In a wheel they lie in dataplane/cli/template, in a checkout in the repository's root. Raises
    FileNotFoundError where an installation has neither.
    """
    package = files("dataplane")
    template = package / "cli" / "template"
    root = template if (template / "config.yaml").is_file() else package / ".."
    return {name: root.joinpath(*name.split("/")).read_bytes() for name in _FILES}
