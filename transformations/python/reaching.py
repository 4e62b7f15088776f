"""`fetch` and `geolocation` of a Python script: a question to the parent, and its answer."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import orjson

from transformations import codec
from transformations.program import Ask
from transformations.python import deadline
from transformations.sandbox import wire

__all__ = ["Asking", "asking", "reaching"]

Asking = Callable[[str, list[Any]], Any]
"""Asks for a verb with its arguments; gives the value, or raises what the script is to see."""


def asking(ask: Ask) -> Asking:
    """The way of one question over the worker's channel; its time does not count against the script."""

    def wait(verb: str, args: list[Any]) -> Any:
        question = codec.encode([{"id": 1, "verb": verb, "args": args}])
        if len(question) > wire.MAX_ASK:
            raise ValueError(f"{verb} is asked with more than {wire.MAX_ASK:,} bytes")
        with deadline.stopped():
            answer = ask(question)
        (found,) = orjson.loads(answer)
        if "error" in found:
            raise RuntimeError(found["error"])
        return found["value"]

    return wait


def reaching(ask: Asking) -> dict[str, Callable[..., Any]]:
    """The functions by the names that scripts know."""

    def fetch(url: Any = None, options: Any = None, /, **more: Any) -> dict[str, Any]:
        given = {**(options if type(options) is dict else {}), **more}
        found: dict[str, Any] = ask("fetch", [url, given] if given else [url])
        with suppress(ValueError):  # what is no JSON stays text
            found["body"] = orjson.loads(found["body"])
        return found

    def geolocation(*args: Any) -> Any:
        if len(args) != 1 or type(args[0]) is not str:
            raise TypeError("geolocation takes a single string argument")
        try:
            return ask("geolocation", [args[0]])
        except RuntimeError as error:
            if str(error) == "invalid ip address":
                raise ValueError(f"geolocation: {error} (status code: 400)") from None
            raise

    return {"fetch": fetch, "fetchV2": fetch, "geolocation": geolocation}
