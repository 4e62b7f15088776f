"""Answers to what a script asks, from a recording: for tests of scripts, which reach nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from transformations.base import Answer, Question, Script
from transformations.fetch import Unasked, private, read_address, read_fetch

__all__ = ["Recorded"]


class Recorded:
    """A `transformations.base.Reach`.

    `fetch` is a list of `{"request": [url, options?], "status", "headers", "body"}` or `{"request",
    "error"}`: equal requests are answered in turn, the last answer again and again. `geolocation`
    maps an address to what is known of it.
    """

    def __init__(
        self, fetch: Sequence[Mapping[str, Any]] = (), geolocation: Mapping[str, Mapping[str, Any]] | None = None
    ) -> None:
        self._fetch = list(fetch)
        self._places = geolocation or {}
        self._used: set[int] = set()

    async def __call__(self, _: Script, questions: Sequence[Question]) -> list[Answer]:
        """One answer per question, in order."""
        return [self._answer(question) for question in questions]

    def _answer(self, question: Question) -> Answer:
        try:
            if question.verb == "fetch":
                return self._fetched(question.args)
            if question.verb == "geolocation":
                return self._located(question.args)
        except Unasked as error:
            return Answer(error=str(error))
        return Answer(error=f"{question.verb} is not known")

    def _fetched(self, args: Sequence[Any]) -> Answer:
        request = read_fetch(args)
        found: Mapping[str, Any] | None = None
        for number, one in enumerate(self._fetch):
            url, *rest = one["request"]
            if url != request.url or (rest[0] if rest else None) not in (dict(request.options), None):
                continue
            found = one
            if number not in self._used:
                self._used.add(number)
                break
        if found is None:
            if private(request.host):
                return Answer(error=f"blocked request to non-public address: {request.host}")
            return Answer(error=f"no answer is recorded for {request.method} {request.url}")
        if found.get("error") is not None:
            return Answer(error=str(found["error"]))
        return Answer({
            "url": found.get("url", request.url), "status": found.get("status", 200),
            "headers": found.get("headers") or {}, "body": found.get("body") or "",
        })

    def _located(self, args: Sequence[Any]) -> Answer:
        address = read_address(args)
        found = self._places.get(address)
        if found is None:
            return Answer(error="geolocation is not available right now")
        return Answer(dict(found))
