"""A config for people's eyes, and its fingerprint."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from dataplane.config.document import Interpolated
from dataplane.config.fields import alternatives, descend, is_secret
from dataplane.config.model import Config
from turnout.durations import write_duration
from turnout.errors import Fixable
from turnout.preview import MASK, mask_url
from turnout.settings import SecretUrl

__all__ = ["fingerprint", "masked"]

_TELLING = re.compile(
    r"secret|token|passw|passphrase|api.?key|private|credential|auth|cookie|signature|access.?key",
    re.IGNORECASE,
)


def masked(config: Config) -> dict[str, Any]:
    """The config as plain JSON values, without secrets.

    Masked in `settings:` are fields that the tool declares secret, texts that came from the
    environment or a file, keys that sound secret, and user names, passwords and queries in URLs; all
    texts where the tool is not installed. Write keys are public by nature and shown.
    """
    shown: dict[str, Any] = _shown(config)
    for name, destination in config.destinations.items():
        model = _settings_type(destination.type)
        shown["destinations"][name]["settings"] = {
            key: _masked(value, key, model and descend(model, key), known=model is not None)
            for key, value in destination.settings.items()
        }
    return shown


def fingerprint(config: Config) -> str:
    """16 hex digits that are equal for equal configs, in every process and version of Python.

    Secret values and file paths count, contents of script files do not.
    """
    text = json.dumps(config.model_dump(mode="python"), default=_canonical, sort_keys=True, ensure_ascii=True)
    return sha256(text.encode()).hexdigest()[:16]


def _canonical(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return "secret:" + sha256(value.get_secret_value().encode()).hexdigest()
    if isinstance(value, timedelta):
        return f"{value // timedelta(microseconds=1)}us"
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"a config has no {type(value).__name__}")


def _shown(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return {name: _shown(getattr(value, name)) for name in type(value).model_fields if name != "settings"}
    if isinstance(value, dict):
        return {key: _shown(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(item) for item in value]
    if isinstance(value, SecretStr):
        return MASK if value.get_secret_value() else ""
    if isinstance(value, timedelta):
        return write_duration(value)
    return str(value) if isinstance(value, Path) else value


def _settings_type(slug: str) -> type[BaseModel] | None:
    from destinations import registry

    try:
        return registry.find(slug).settings_type
    except Fixable:
        return None


def _masked(value: Any, key: str, annotation: Any, *, known: bool) -> Any:
    """One setting; `known` is false where no model says what is secret."""
    if isinstance(value, Interpolated):
        return MASK if value else ""
    if isinstance(value, str) and SecretUrl in alternatives(annotation):
        return mask_url(value)
    hide = is_secret(annotation) or bool(_TELLING.search(key)) or not known
    if isinstance(value, dict):
        return {k: _masked(v, f"{key} {k}" if hide else k, annotation if hide else descend(annotation, k),
                           known=known) for k, v in value.items()}
    if isinstance(value, list):
        return [_masked(v, key, annotation if hide else descend(annotation, 0), known=known) for v in value]
    if value is None or isinstance(value, bool) or value == "":
        return value
    if hide:
        return MASK
    return mask_url(value) if isinstance(value, str) and "://" in value else value
