"""pydantic's errors as sentences about a place in the file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from dataplane.config.diagnostic import Path, Place, Report
from dataplane.config.document import Entry, Mapping, Node, Scalar, Sequence, scalars
from dataplane.config.fields import descend, is_secret, models, spelled, spellings
from dataplane.config.model import NAME
from turnout.spelling import meant

__all__ = ["shows_secret", "tell"]

_OWN = frozenset(("value_error", "assertion_error"))
_PLAIN = {
    "missing": "required, but not given",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number of fewer digits",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be text",
    "string_unicode": "must be text",
    "path_type": "must be a path",
    "bytes_type": "must be text",
    "dict_type": "must be a mapping (key: value)",
    "mapping_type": "must be a mapping (key: value)",
    "model_type": "must be a mapping (key: value)",
    "model_attributes_type": "must be a mapping (key: value)",
    "dataclass_type": "must be a mapping (key: value)",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "set_type": "must be a list",
    "frozen_set_type": "must be a list",
    "iterable_type": "must be a list",
    "none_required": "must be null",
    "url_type": "must be a URL such as https://example.com/path",
    "url_parsing": "must be a URL such as https://example.com/path",
    "url_syntax_violation": "must be a URL such as https://example.com/path",
    "url_too_long": "the URL is too long",
    "union_tag_not_found": "required, but not given",
}
_BOUNDS = {
    "greater_than": ("must be greater than {}", "gt"),
    "greater_than_equal": ("must be at least {}", "ge"),
    "less_than": ("must be less than {}", "lt"),
    "less_than_equal": ("must be at most {}", "le"),
    "multiple_of": ("must be a multiple of {}", "multiple_of"),
    "literal_error": ("must be {}", "expected"),
    "enum": ("must be {}", "expected"),
    "url_scheme": ("must be a URL that begins with {}", "expected_schemes"),
    "string_too_long": ("must have at most {} characters", "max_length"),
    "too_short": ("must have at least {} items", "min_length"),
    "too_long": ("must have at most {} items", "max_length"),
}


@dataclass(slots=True)
class _Spot:
    """Where an error belongs: its path and entry, the type expected there, what holds it."""

    path: Path
    entry: Entry
    annotation: Any
    whole: bool  # false where a step of pydantic's path names a branch of a union and not a key
    at_key: bool = False


@dataclass(slots=True)
class _Told:
    spot: _Spot
    kind: str
    message: str

    @property
    def place(self) -> Place:
        node, kind = self.spot.entry.node, self.kind
        if self.spot.at_key or kind in ("missing", "extra_forbidden", "union_tag_not_found"):
            return self.spot.entry.place
        if kind in _OWN and isinstance(node, Mapping):
            return self.spot.entry.place
        return node.place


def tell(
    error: ValidationError, model: type[BaseModel], base: Path, entry: Entry, report: Report,
    *, word: str = "key", listed: str = "",
) -> None:
    """Report what a model found wrong with the value of `entry`, which stands at `base`.

    `word` is what an unknown key is called, `listed` says where those that there are stand. No value is ever
    quoted: where a message of a validator contains a secret or an interpolated text, a general one is given
    instead.
    """
    told: list[_Told] = []
    for details in error.errors(include_url=False, include_input=False):
        spot = _find(details, model, entry)
        if _hidden(details, spot):
            continue
        message = _message(details, spot, word, listed)
        if details["type"] not in _PLAIN and details["type"] not in _BOUNDS and shows_secret(
            message, spot.entry.node, spot.annotation
        ):
            message = "is not valid"
        told.append(_Told(spot, details["type"], message))
    for place, path, message in _joined(told):
        report.add(place, base + path, message)


def _find(details: ErrorDetails, model: type[BaseModel], entry: Entry) -> _Spot:
    spot = _Spot((), entry, model, whole=True)
    steps = details["loc"]
    for index, step in enumerate(steps):
        node, last = spot.entry.node, index == len(steps) - 1
        if step == "[key]":
            spot.at_key = True
        elif isinstance(node, Mapping) and isinstance(step, str) and (key := _key(node, step, spot)):
            unknown = last and details["type"] == "extra_forbidden"  # what is known is its parent's
            inner = spot.annotation if unknown else descend(spot.annotation, key)
            spot = _Spot((*spot.path, key), node.entries[key], inner, spot.whole)
        elif isinstance(node, Sequence) and isinstance(step, int) and 0 <= step < len(node.items):
            item = node.items[step]
            inner = descend(spot.annotation, step)
            spot = _Spot((*spot.path, step), Entry(item.place, item), inner, spot.whole)
        elif last and details["type"] == "missing":
            spot.path = (*spot.path, step)
        else:
            spot.whole = False
    return spot


def _key(node: Mapping, step: str, spot: _Spot) -> str:
    """The key in the file that pydantic's step names: itself, or another spelling of the field."""
    if step in node.entries:
        return step
    for model in models(spot.annotation):
        for key in spelled(model, step, node.entries):
            return key
    return ""


def _hidden(details: ErrorDetails, spot: _Spot) -> bool:
    """Whether an error only follows from a value that has a finding of its own."""
    if details["type"] in _OWN or isinstance(spot.entry.node, Scalar):
        return any(scalar.broken for scalar in scalars(spot.entry.node))
    return False


def _message(details: ErrorDetails, spot: _Spot, word: str, listed: str) -> str:
    kind, context, node = details["type"], details.get("ctx", {}), spot.entry.node
    if kind == "extra_forbidden":
        return _unknown(spot, details, word, listed)
    if kind in _OWN:
        return str(context["error"])
    empty = isinstance(node, Scalar) and node.value is None and not spot.at_key
    if empty and kind.endswith("_type"):
        return f"has no value; {_PLAIN.get(kind, 'it is required')}, or leave the key out"
    if kind == "string_type" and isinstance(node, Scalar) and node.plain and not node.interpolated:
        return "must be text; quote it"
    if kind == "string_pattern_mismatch":
        if context["pattern"] == NAME:
            return "an id is letters, digits, _ and -, at most 64, and begins with a letter or _"
        return f"must match the pattern {context['pattern']}"
    if kind == "string_too_short":
        least = context["min_length"]
        return "must not be empty" if least == 1 else f"must have at least {least} characters"
    if kind in _BOUNDS:
        text, key = _BOUNDS[kind]
        bound = context[key]
        shown = f"{bound:g}" if isinstance(bound, float) else bound
        return text.format(shown) + _hint(node, str(bound) if key == "expected" else "")
    return _PLAIN.get(kind) or _general(details["msg"])


def _hint(node: Node, expected: str) -> str:
    if isinstance(node, Scalar) and not node.interpolated and isinstance(node.value, str):
        return meant(node.value, re.findall(r"'([^']*)'", expected))
    return ""


def _general(message: str) -> str:
    text = re.sub(r"^(Input|Value|String|URL) should ", "must ", message)
    return text[:1].lower() + text[1:]


def _unknown(spot: _Spot, details: ErrorDetails, word: str, listed: str) -> str:
    key = str(details["loc"][-1])
    owners = models(spot.annotation)
    known = [name for owner in owners for name in spellings(owner)]
    if key in known:
        return f"this {word} is given twice, in two spellings"
    if hint := meant(key, known):
        return f"unknown {word}{hint}"
    for owner in owners:
        for name, field in owner.model_fields.items():
            if any(key in spellings(inner) for inner in models(field.annotation)):
                return f"unknown {word} (it belongs under {name})"
    return f"unknown {word} ({listed})" if listed else f"unknown {word}"


def shows_secret(message: str, node: Node, annotation: Any) -> bool:
    """Whether the words of a validator quote what must not be shown; one or two letters prove nothing."""
    return any(len(text) > 2 and text in message for text in _secrets(node, annotation))


def _secrets(node: Node, annotation: Any) -> Iterator[str]:
    """Texts below a node that no message may contain."""
    secret = is_secret(annotation)
    if isinstance(node, Mapping):
        for key, entry in node.entries.items():
            yield from _secrets(entry.node, annotation if secret else descend(annotation, key))
    elif isinstance(node, Sequence):
        for index, item in enumerate(node.items):
            yield from _secrets(item, annotation if secret else descend(annotation, index))
    elif secret or node.interpolated:
        yield str(node.value)


def _joined(told: list[_Told]) -> Iterator[tuple[Place, Path, str]]:
    """One finding per place: the branches of a union that do not fit are said in one sentence."""
    paths = {item.spot.path for item in told}
    grouped: dict[tuple[Place, Path], list[_Told]] = {}
    for item in told:
        path = item.spot.path
        deeper = any(len(other) > len(path) and other[:len(path)] == path for other in paths)
        if not item.spot.whole and deeper:
            continue  # another branch of the union fits, but for what is said deeper in it
        grouped.setdefault((item.place, path), []).append(item)
    for (place, path), items in grouped.items():
        messages = list(dict.fromkeys(item.message for item in items))
        if all(message.startswith("must be ") for message in messages):
            yield place, path, "must be " + " or ".join(m.removeprefix("must be ") for m in messages)
        else:
            yield place, path, messages[0]
