"""Checks that every locked package has a licence Turnout may be used with.

`python -m tools.licences LOCK...` reads the metadata of the *installed* packages and fails on a
licence that is not on the list, on one it cannot read, and on a package that should be installed
and is not.
"""

from __future__ import annotations

import re
import sys
from email.message import Message
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

from tools import locks

__all__ = ["allowed", "expression", "main", "verdict"]

ALLOWED = frozenset({
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CNRI-Python", "ISC", "MIT", "MIT-0",
    "MPL-2.0", "PSF-2.0", "Python-2.0", "Unlicense", "Zlib", "ZPL-2.1",
})
"""SPDX names. All let a program of any licence depend on the package; MPL asks for the source of
changed files of the package only, and Turnout changes none."""

CLASSIFIERS = {
    "License :: OSI Approved :: MIT License": "MIT",
    "License :: OSI Approved :: MIT No Attribution License (MIT-0)": "MIT-0",
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: BSD License": "BSD-3-Clause",
    "License :: OSI Approved :: ISC License (ISCL)": "ISC",
    "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "License :: OSI Approved :: Python Software Foundation License": "PSF-2.0",
    "License :: OSI Approved :: The Unlicense (Unlicense)": "Unlicense",
    "License :: OSI Approved :: Zope Public License": "ZPL-2.1",
}
"""Trove classifiers, for packages from before PEP 639's License-Expression."""

FIELDS = {
    "mit": "MIT", "mit license": "MIT", "the mit license (mit)": "MIT", "expat": "MIT",
    "apache 2.0": "Apache-2.0", "apache license 2.0": "Apache-2.0", "apache software license": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0", "apache-2.0": "Apache-2.0",
    "bsd": "BSD-3-Clause", "bsd license": "BSD-3-Clause", "bsd-3-clause": "BSD-3-Clause",
    "3-clause bsd license": "BSD-3-Clause", "bsd-2-clause": "BSD-2-Clause", "isc": "ISC",
    "mpl-2.0": "MPL-2.0", "psf": "PSF-2.0", "psf-2.0": "PSF-2.0", "zpl-2.1": "ZPL-2.1",
    "unlicense": "Unlicense",
}
"""What the free-form License field of old packages says, in lower case."""

EXCEPTIONS: dict[str, str] = {"quickjs-ng": "MIT"}
"""Packages whose metadata names no licence: package -> the SPDX name read in its licence file."""

_TOKEN = re.compile(r"\s*(\(|\)|[A-Za-z0-9.+-]+)")


def allowed(text: str) -> bool:
    """Whether an SPDX expression can be satisfied with allowed licences.

    `A OR B` needs one of them, `A AND B` both; AND binds stronger. Raises ValueError for what is no
    such expression (an exception clause, `WITH`, is not read: it would have to be judged by a person).
    """
    tokens = _tokens(text)
    value, rest = _or(tokens)
    if rest:
        raise ValueError(f"not an SPDX expression: {text!r}")
    return value


def _tokens(text: str) -> list[str]:
    tokens, at = [], 0
    while at < len(text.rstrip()):
        found = _TOKEN.match(text, at)
        if found is None:
            raise ValueError(f"not an SPDX expression: {text!r}")
        tokens.append(found[1])
        at = found.end()
    return tokens


def _or(tokens: list[str]) -> tuple[bool, list[str]]:
    value, rest = _and(tokens)
    while rest and rest[0].upper() == "OR":
        other, rest = _and(rest[1:])
        value = value or other
    return value, rest


def _and(tokens: list[str]) -> tuple[bool, list[str]]:
    value, rest = _one(tokens)
    while rest and rest[0].upper() == "AND":
        other, rest = _one(rest[1:])
        value = value and other
    return value, rest


def _one(tokens: list[str]) -> tuple[bool, list[str]]:
    if not tokens or tokens[0] == ")" or tokens[0].upper() in ("AND", "OR", "WITH"):
        raise ValueError("a licence is missing in the expression")
    if tokens[0] != "(":
        return tokens[0] in ALLOWED, tokens[1:]
    value, rest = _or(tokens[1:])
    if not rest or rest[0] != ")":
        raise ValueError("a bracket is not closed")
    return value, rest[1:]


def expression(name: str, meta: Message) -> str:
    """A package's licence as an SPDX expression, "" where its metadata says nothing that is understood.

    License-Expression (PEP 639) first, then classifiers, then the License field's first line.
    """
    if name in EXCEPTIONS:
        return EXCEPTIONS[name]
    if spdx := meta.get("License-Expression"):
        return str(spdx)
    classifiers = [c for c in meta.get_all("Classifier") or [] if c.startswith("License :: ")]
    known = [CLASSIFIERS[c] for c in classifiers if c in CLASSIFIERS]
    if known and len(known) == len([c for c in classifiers if c != "License :: OSI Approved"]):
        return " AND ".join(known)
    stated = str(meta.get("License") or "").strip()
    first = stated.splitlines()[0].strip().rstrip(".") if stated else ""
    return FIELDS.get(first.lower(), first if first in ALLOWED else "")


def verdict(name: str, meta: Message) -> str:
    """"" where the package may be used, else why not."""
    spdx = expression(name, meta)
    if not spdx:
        return f"{name}: its metadata names no licence that is understood (see EXCEPTIONS in {__name__})"
    try:
        return "" if allowed(spdx) else f"{name}: {spdx} is not on the list of allowed licences"
    except ValueError as error:
        return f"{name}: {error}"


def main(arguments: list[str]) -> int:
    """Judge every package of the locks given; 0 where all may be used."""
    pins = {pin.name: pin for path in arguments for pin in locks.read(Path(path).read_text())}
    found, judged, elsewhere = [], 0, []
    for pin in pins.values():
        if not pin.applies:
            elsewhere.append(pin.name)
            continue
        try:
            meta = metadata(pin.name)
        except PackageNotFoundError:
            found.append(f"{pin.name}: it is locked but not installed (run: make setup)")
            continue
        judged += 1
        if why := verdict(pin.name, meta):  # type: ignore[arg-type]  # typeshed's protocol; it is a Message
            found.append(why)
    for why in found:
        print(why, file=sys.stderr)
    others = f"; not for this system: {', '.join(elsewhere)}" if elsewhere else ""
    print(f"licences: {judged} packages judged, {len(found)} findings{others}")
    return 1 if found or not judged else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
