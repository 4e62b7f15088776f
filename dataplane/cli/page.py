"""docs/cli.md, made from the commands' own help: `python -m dataplane.cli.page > docs/cli.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import typer

from dataplane.cli.main import app

__all__ = ["page"]

_HEAD = """\
# The command line

<!-- Made from the commands' own help by `python -m dataplane.cli.page`; do not edit. -->

Every command prints a table or sentences for people, and JSON with `--json`. Colours are left out when
`NO_COLOR` is set or the output is no terminal. Errors are one line on standard error (`turnout --debug
COMMAND` shows where they came from).

| exit code | meaning |
|---|---|
| 0 | done; also where whoever reads the output has seen enough (`head -1`) |
| 1 | not done; the message says why (`check`: not good; `status`: not well; `preview`: nothing to send) |
| 2 | the command line itself is wrong |
| 3 | `plan`: something would change |
| 130 | interrupted |

`send`, `refused`, `dead`, `explain`, `tail`, `replay`, `plan`, `alerts`, `status` and `reload` speak to the running
data plane over the admin socket that the configuration names (`--socket` skips the configuration); whoever may open
that file may ask.
"""


def page() -> str:
    """The whole page as Markdown."""
    command = typer.main.get_command(app)
    parts = [_HEAD]
    for path, text in _helps(command, "turnout", None):
        parts.append(f"## {path}\n\n```text\n{text.rstrip()}\n```\n")
    return "\n".join(parts)


def _helps(command: Any, path: str, parent: Any) -> Iterator[tuple[str, str]]:
    """Path and help of a command and all below it, in their order."""
    settings = {**command.context_settings, "terminal_width": 100, "max_content_width": 100}
    context = command.context_class(command, info_name=path.rpartition(" ")[2], parent=parent, **settings)
    lines = command.get_help(context).splitlines()
    yield path, "\n".join(line.rstrip() for line in lines)
    for name, child in getattr(command, "commands", {}).items():
        yield from _helps(child, f"{path} {name}", context)


if __name__ == "__main__":
    sys.stdout.write(page())
