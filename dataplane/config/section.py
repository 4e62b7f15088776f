"""What every section of config.yaml has in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo

__all__ = ["File", "Model", "Text"]


class Model(BaseModel):
    """Base of every section: unknown keys are errors, values are frozen, errors show no values."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False)


def _path(value: Any) -> Any:
    if isinstance(value, str) and (not value or "\0" in value):
        raise ValueError("must be the path of a file or folder")
    return value


def _in_folder(value: Path, info: ValidationInfo) -> Path:
    return info.context["folder"] / value if info.context else value


Text = Annotated[str, Field(min_length=1)]
File = Annotated[Path, BeforeValidator(_path), AfterValidator(_in_folder)]
"""A path, relative to the folder of the config file; absolute in a parsed Config."""
