"""The JSON schema of config.yaml, for editors: `python -m dataplane.config.schema`."""

from __future__ import annotations

import json
import sys
from typing import Any

from dataplane.config.model import Config

__all__ = ["schema"]

_PLACEHOLDER = {"type": "string", "pattern": r"\$\{"}


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a config before `${…}` is read.

    Every scalar may also be text with `${…}`, which stands for a value that only the machine knows.
    """
    made = Config.model_json_schema(mode="validation")
    for definition in (made, *made.get("$defs", {}).values()):
        for name, field in definition.get("properties", {}).items():
            definition["properties"][name] = _interpolated(field)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **made,
        "title": "Turnout config.yaml",
    }


def _interpolated(field: dict[str, Any]) -> dict[str, Any]:
    """The field's schema, which beside a number, a boolean or a choice also takes `${…}`."""
    if "anyOf" in field:
        return {**field, "anyOf": [*field["anyOf"], _PLACEHOLDER]}
    if field.get("type") not in ("integer", "number", "boolean") and not {"enum", "const"} & field.keys():
        return field
    outer: dict[str, Any] = {key: field[key] for key in ("default", "description", "title") if key in field}
    inner = {key: value for key, value in field.items() if key not in outer}
    return {**outer, "anyOf": [inner, _PLACEHOLDER]}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(schema(), indent=2) + "\n")
