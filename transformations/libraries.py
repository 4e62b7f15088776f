"""How libraries are called where scripts import them."""

from __future__ import annotations

import re

__all__ = ["camel"]


def camel(name: str) -> str:
    """A library's import name: `My helper lib` → `myHelperLib`."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_A-Za-z]+", name)
    return "".join(word.lower() if i == 0 else word[:1].upper() + word[1:].lower() for i, word in enumerate(words))
