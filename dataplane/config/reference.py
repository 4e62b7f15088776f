"""docs/configuration.md, made from the model: `python -m dataplane.config.reference`."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from dataplane.config.fields import alternatives, models
from dataplane.config.model import NAME, Config
from dataplane.config.planned import PLANNED
from turnout.durations import size, write_duration, write_size

__all__ = ["page"]

_INTRO = """\
# Configuration

One file, `config.yaml`, says everything. `turnout init` writes one to start from, `turnout check`
tells what is wrong with one (`config.yaml:12:7: destinations.crm.settings.intance_url: unknown
setting (did you mean instance_url?)`), and a SIGHUP or `turnout reload` puts a changed one in force;
a file with a mistake leaves the old one running. A JSON schema for editors comes from
`python -m dataplane.config.schema`. This page is made from the model by
`python -m dataplane.config.reference`.

## How values are written

- **Durations**: `500ms`, `10s`, `15m`, `24h`, `7d`; a plain number is seconds.
- **Sizes**: `500kB`, `10MB`, `2GB` (powers of 1000), `64MiB` (powers of 1024); a plain number is bytes.
- **Paths** are relative to the folder of the config file.
- **Ids** are letters, digits, `_` and `-`, at most 64, and begin with a letter or `_`; the id of a
  library is a Python identifier.
- **Booleans** are `true` and `false`. `yes`, `no`, `on` and `off` without quotes are refused, since YAML
  readers disagree about them; so are numbers with leading zeros, tags (`!!str`) and a key given twice.
  Anchors, aliases and merge keys (`<<: *anchor`) work.

## Secrets and the environment

Values may hold `${ENV}`, `${ENV:-default}` (for a variable that is unset or empty) and `${file:PATH}`
(the file's text without the line breaks at its end; PATH is relative to the config's folder).
A default cannot hold `}`. `$${` stands for the text `${`. Keys are taken as they are.

What is read this way is always text, also without quotes: a password of digits stays what it is. A
field that takes a number, a boolean, a duration or a size reads it from text. Inside `{ }` and `[ ]`,
YAML wants quotes around it: `{token: "${CRM_TOKEN}"}`. It appears in no message, log or page.

## Removing and renaming a destination

A destination with a backlog cannot just vanish. Renamed, its new entry says `was: old_id` and takes
over backlog and cursors; given up, the top level says `discard: [old_id]`. Two are never merged: an
entry that was there before takes over nothing.
"""

_PLANNED = """\
## Not in this version

These keys are known and refused, each with a message that says so; none is ever ignored:
"""


def page() -> str:
    """The whole page as Markdown."""
    parts = [_INTRO]
    for path, model in _sections(Config, ""):
        rows = [_row(name, field) for name, field in model.model_fields.items()]
        if path:
            parts += [f"## {path}\n", _sentence(model)]
        else:
            parts += ["## Top level\n"]
        parts.append("| key | value | default | meaning |\n|---|---|---|---|\n" + "\n".join(rows) + "\n")
    refused = ["`" + ".".join(p).replace("*", "<id>") + f"` ({what})" for p, what in PLANNED.items()]
    return "\n".join([*parts, _PLANNED, ",\n".join(refused) + "."]) + "\n"


def _sections(model: type[BaseModel], path: str) -> Iterator[tuple[str, type[BaseModel]]]:
    yield path, model
    for name, field in model.model_fields.items():
        for inner, suffix in _nested(field.annotation):
            yield from _sections(inner, f"{path}.{name}".removeprefix(".") + suffix)


def _nested(annotation: Any) -> Iterator[tuple[type[BaseModel], str]]:
    for kind in alternatives(annotation):
        if get_origin(kind) is dict:
            for inner in models(get_args(kind)[1]):
                yield inner, ".<id>"
        else:
            for inner in models(kind):
                yield inner, ""


def _sentence(model: type[BaseModel]) -> str:
    return inspect.cleandoc(model.__doc__ or "") + "\n"


def _row(name: str, field: FieldInfo) -> str:
    cells = (f"`{name}`", _kind(field.annotation, field.metadata), _default(field), field.description or "")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(field: FieldInfo) -> str:
    value = field.default
    if field.is_required():
        return "required"
    if isinstance(value, BaseModel) or (isinstance(value, dict | list) and not value) or value is None:
        return ""
    if isinstance(value, SecretStr):
        return "empty"
    if isinstance(value, timedelta):
        return f"`{write_duration(value)}`"
    if _is_size(field.metadata) and isinstance(value, int):
        return f"`{write_size(value)}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _flat(metadata: Any) -> list[Any]:
    """Annotations with those of a nested `Field(...)` taken out of it."""
    nested = (part.metadata if isinstance(part, FieldInfo) else [part] for part in metadata)
    return [part for parts in nested for part in parts]


def _is_size(metadata: Any) -> bool:
    return any(getattr(part, "func", None) is size for part in metadata)


_KINDS = {bool: "true or false", str: "text", float: "number", timedelta: "duration", Path: "path",
          SecretStr: "secret text"}


def _kind(annotation: Any, metadata: Any = ()) -> str:
    """What may be written for a value of this type, in words."""
    if get_origin(annotation) is Annotated:
        return _kind(get_args(annotation)[0], get_args(annotation)[1:])
    if len(parts := list(_parts(annotation))) > 1:
        return " or ".join(_kind(part) for part in parts)
    (kind,) = parts or (annotation,)
    if kind is not annotation:
        return _kind(kind, metadata)
    return _simple(kind, _flat(metadata))


def _simple(kind: Any, metadata: Any) -> str:
    origin = get_origin(kind)
    if origin is Literal:
        return " or ".join(f"`{choice}`" for choice in get_args(kind))
    if origin is list:
        inner = _kind(get_args(kind)[0])
        return f"list of {'ids' if inner == 'id' else inner}"
    if origin is dict:
        return "mapping by id" if models(get_args(kind)[1]) else "mapping"
    if kind is str and any(getattr(part, "pattern", None) == NAME for part in metadata):
        return "id"
    if kind is int:
        return "size" if _is_size(metadata) else "whole number" + _bounds(metadata)
    if kind is float:
        return "number" + _bounds(metadata)
    return _KINDS.get(kind, "mapping")


def _parts(annotation: Any) -> Iterator[Any]:
    """The members of a union with their own metadata, without None."""
    if get_origin(annotation) is None or get_origin(annotation) in (list, dict, Literal):
        yield annotation
        return
    for part in get_args(annotation):
        if part is not NoneType:
            yield part


def _bounds(metadata: Any) -> str:
    said = []
    for part in metadata:
        for name, sign in (("gt", "above "), ("ge", "from "), ("le", "to ")):
            if (value := getattr(part, name, None)) is not None:
                said.append(f"{sign}{value}")
    return ", " + " ".join(said) if said else ""


if __name__ == "__main__":
    sys.stdout.write(page())
