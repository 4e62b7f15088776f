"""What a pydantic model knows about a path: the spellings of its fields, and which are secret."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import AliasChoices, BaseModel, Secret, SecretBytes, SecretStr
from pydantic.fields import FieldInfo

__all__ = ["alternatives", "descend", "fields_at", "is_secret", "models", "spelled", "spellings"]


def spellings(model: type[BaseModel]) -> dict[str, str]:
    """Every spelling that the model takes in a file, and the name of the field it belongs to."""
    found: dict[str, str] = {}
    by_name = bool(model.model_config.get("populate_by_name") or model.model_config.get("validate_by_name"))
    for name, field in model.model_fields.items():
        aliases = list(_aliases(field))
        if by_name or not aliases:
            found[name] = name
        found.update(dict.fromkeys(aliases, name))
    return found


def spelled(model: type[BaseModel], name: str, given: Mapping[str, Any]) -> list[str]:
    """How a field is spelled among the keys of a file; several where it is given twice."""
    return [key for key, field in spellings(model).items() if field == name and key in given]


def _aliases(field: FieldInfo) -> Iterator[str]:
    for alias in (field.validation_alias, field.alias):
        if isinstance(alias, AliasChoices):
            yield from (choice for choice in alias.choices if isinstance(choice, str))
        elif isinstance(alias, str):
            yield alias


def alternatives(annotation: Any) -> Iterator[Any]:
    """The types of a union, or the type itself, without `Annotated`."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from alternatives(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for part in get_args(annotation):
            yield from alternatives(part)
    else:
        yield annotation


def models(annotation: Any) -> list[type[BaseModel]]:
    """The models among a type's alternatives."""
    return [t for t in alternatives(annotation) if isinstance(t, type) and issubclass(t, BaseModel)]


def descend(annotation: Any, step: str | int) -> Any:
    """The type of what stands at one step below a value of this type; None where it is unknown."""
    for kind in alternatives(annotation):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            name = spellings(kind).get(step, step) if isinstance(step, str) else ""
            if name in kind.model_fields:
                return kind.model_fields[name].annotation
        elif get_args(kind):
            origin = get_origin(kind)
            if isinstance(step, str) and isinstance(origin, type) and issubclass(origin, Mapping):
                return get_args(kind)[1]
            if isinstance(step, int):
                return get_args(kind)[0]
    return None


def fields_at(annotation: Any, path: tuple[str | int, ...]) -> list[type[BaseModel]]:
    """The models that a value at `path` below `annotation` may have."""
    for step in path:
        annotation = descend(annotation, step)
    return models(annotation)


def is_secret(annotation: Any) -> bool:
    """Whether a value of this type, or anything inside it, is declared secret.

    A nested model is not: its own fields say which of them are.
    """
    return any(_secret_type(get_origin(kind) or kind) or any(is_secret(part) for part in get_args(kind))
               for kind in alternatives(annotation))


def _secret_type(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, SecretStr | SecretBytes | Secret)
