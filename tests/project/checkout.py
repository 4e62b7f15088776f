"""The files of this checkout, as git would commit them, and the code blocks of its Markdown."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL)


def files(*patterns: str) -> list[Path]:
    """Tracked and new files that are not ignored and match the git patterns, as absolute paths."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=ROOT, capture_output=True, check=True,
    ).stdout.decode()
    return sorted(path for name in listed.split("\0") if name and (path := ROOT / name).is_file())


def blocks(document: Path, *languages: str) -> Iterator[str]:
    """The text of a document's fenced blocks in these languages."""
    for found in _FENCE.finditer(document.read_text()):
        if found["language"] in languages:
            yield found["text"]


def commands(document: Path, program: str) -> Iterator[str]:
    """Command lines in a document's sh blocks that start `program`, continued lines joined, comments cut."""
    for text in blocks(document, "sh"):
        for line in text.replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|\||;", re.sub(r"\s#.*$", "", line)):
                words = part.strip()
                if words == program or words.startswith(f"{program} "):
                    yield words
