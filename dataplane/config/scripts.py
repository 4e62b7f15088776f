"""Sections of config.yaml about scripts: libraries, transformations, what they may reach."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from dataplane.config.languages import Language
from dataplane.config.section import File, Model, Text
from turnout.durations import Duration, PositiveDuration, PositiveSize
from turnout.hosts import normal_host

__all__ = ["Geolocation", "Library", "ScriptFetch", "Transformation"]


def _host(value: str) -> str:
    host = normal_host(value)
    if not re.fullmatch(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*|[0-9a-f:]+:[0-9a-f:.]*", host):
        raise ValueError("must be a host such as api.example.com or *.example.com, without scheme, port or path")
    return host


HostPattern = Annotated[str, AfterValidator(_host)]


class Library(Model):
    """Code that transformations of its language import by its id, which is an identifier."""

    file: File = Field(description="The library's source file.")
    language: Language | None = Field(None, description="Default: by the file's suffix.")


class ScriptFetch(Model):
    """What a script may reach with `fetch`; nothing, unless hosts are named."""

    allow: list[HostPattern] = Field(
        [], description="Hosts it may fetch from: `api.example.com`, or `*.example.com` for every name below.",
    )
    cache: Duration = Field(timedelta(0), description="How long an answer to GET is used again; 0: not at all.")
    timeout: PositiveDuration = Field(timedelta(seconds=10), description="A fetch that takes longer fails.")


class Geolocation(Model):
    """Where addresses are, for `geolocation(ip)` of scripts."""

    database: File | None = Field(None, description="A MaxMind file: GeoLite2-City.mmdb or its like.")


class Transformation(Model):
    """A script that events pass on their way to a destination."""

    file: File = Field(description="The script's source file.")
    language: Language | None = Field(None, description="Default: by the file's suffix.")
    timeout: PositiveDuration = Field(
        timedelta(seconds=4), description="A batch that runs longer is killed.",
    )
    memory: PositiveSize = Field(256 << 20, description="Memory of the worker that runs it.")
    credentials: dict[Text, SecretStr] = Field(
        {}, description="Secrets that the script reads with `getCredential(name)`.",
    )
    fetch: ScriptFetch = Field(ScriptFetch(), description="What the script may reach.")
