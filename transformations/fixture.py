"""Fixtures of a script as data: events in, and what is to come out of each; and how the two differ.

Pure: who reads the file is `dataplane.config.fixtures`, who runs the script `dataplane.pipeline.proof`.
The format is described in docs/transformations.md.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from transformations.base import Answer, Failed, Item, Question, Ran, Script
from transformations.fetch import Unasked, allowed, read_fetch
from transformations.recorded import Recorded

__all__ = ["Fixture", "FixtureCase", "Replay", "difference", "items", "prepared"]

Object = dict[str, Any]
_OUTCOMES = ("output", "outputs", "dropped", "error")
_EXACT = 2**53
"""Whole numbers up to here are the same in JSON with and without `.0`."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False)


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _request(value: list[Any]) -> list[Any]:
    if not value or not isinstance(value[0], str) or len(value) > 2 or not isinstance((value[1:] or [{}])[0], dict):
        raise ValueError("must be a URL, or a list of a URL and its options")
    return value


class Recording(_Model):
    """An answer to a fetch: to this URL, with these options where some are given."""

    request: Annotated[list[Any], BeforeValidator(_listed), AfterValidator(_request)]
    status: int = Field(200, ge=100, le=599)
    headers: dict[str, str] = {}
    body: Any = ""
    error: str | None = None

    def told(self) -> Object:
        """As `Recorded` takes it; a body that is no text is its JSON."""
        body = self.body if isinstance(self.body, str) else json.dumps(self.body)
        return {**self.model_dump(exclude={"body"}), "body": body}


class Expected(_Model):
    """What is to become of one event: exactly one of four."""

    output: Object | None = None
    outputs: list[Object] | None = None
    dropped: Literal[True] | None = None
    error: str | None = Field(None, min_length=1)

    @model_validator(mode="after")
    def _one(self) -> Expected:
        if len(self.said()) != 1:
            raise ValueError(f"needs exactly one of {', '.join(_OUTCOMES)}")
        return self

    def said(self) -> list[str]:
        """Which of the outcomes are given."""
        return [name for name in _OUTCOMES if getattr(self, name) is not None]

    def shape(self) -> Object:
        """As the outcome of an event is compared and shown."""
        if self.error is not None:
            return {"error": self.error}
        return _shape([self.output] if self.output is not None else self.outputs or [])


class FixtureCase(_Model):
    """One run: an event or several, and what is to become of them together or, in `results`, of each."""

    name: str = Field(min_length=1)
    event: Object | None = None
    events: list[Object] | None = Field(None, min_length=1)
    metadata: Object = {}
    credentials: dict[str, str] = {}
    fetch: list[Recording] = []
    geolocation: dict[str, Object] = {}
    output: Object | None = None
    outputs: list[Object] | None = None
    dropped: Literal[True] | None = None
    error: str | None = Field(None, min_length=1)
    results: list[Expected] | None = None

    @model_validator(mode="after")
    def _whole(self) -> FixtureCase:
        if (self.event is None) == (self.events is None):
            raise ValueError("needs event or events, one of them")
        names = (*_OUTCOMES, "results")
        if sum(getattr(self, name) is not None for name in names) != 1:
            raise ValueError(f"needs exactly one of {', '.join(names)}")
        if self.results is not None and len(self.results) != len(self.inputs):
            raise ValueError(f"results has {len(self.results)} entries for {len(self.inputs)} events")
        return self

    @property
    def inputs(self) -> list[Object]:
        """The events, also where there is one."""
        return [self.event] if self.event is not None else self.events or []


class Fixture(_Model):
    """A fixture file; what stands beside `cases` holds for each of them."""

    metadata: Object = {}
    credentials: dict[str, str] = {}
    fetch: list[Recording] = []
    geolocation: dict[str, Object] = {}
    cases: list[FixtureCase] = Field(min_length=1)

    @model_validator(mode="after")
    def _distinct(self) -> Fixture:
        names = [case.name for case in self.cases]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"two cases are named {twice!r}")
        return self

    def whole(self) -> list[FixtureCase]:
        """The cases with what holds for all of them; a case's own comes first, and wins."""
        return [
            case.model_copy(update={
                "metadata": {**self.metadata, **case.metadata},
                "credentials": {**self.credentials, **case.credentials},
                "geolocation": {**self.geolocation, **case.geolocation},
                "fetch": [*case.fetch, *self.fetch],
            })
            for case in self.cases
        ]  # fmt: skip


class Replay:
    """A `Reach` for one case: recorded answers, for the hosts only that the script may fetch from."""

    def __init__(self, case: FixtureCase) -> None:
        self._recorded = Recorded([one.told() for one in case.fetch], case.geolocation)

    async def __call__(self, script: Script, questions: Sequence[Question]) -> list[Answer]:
        """One answer per question, in order."""
        return [self._refused(script, one) or (await self._recorded(script, [one]))[0] for one in questions]

    @staticmethod
    def _refused(script: Script, question: Question) -> Answer | None:
        try:
            if question.verb == "fetch":
                allowed(read_fetch(question.args), script)
        except Unasked as error:
            return Answer(error=str(error))
        return None


def prepared(script: Script, case: FixtureCase) -> Script:
    """The script with the case's credentials: a test never sees real ones."""
    return replace(script, credentials=case.credentials)


def items(case: FixtureCase) -> list[Item]:
    """Its events as the pipeline hands them over."""
    return [Item(_raw(event), _raw({**_known(event), **case.metadata})) for event in case.inputs]


def _known(event: Mapping[str, Any]) -> Object:
    """Metadata that production takes from the event itself."""
    names = {"messageId": "messageId", "type": "eventType", "event": "eventName", "receivedAt": "receivedAt"}
    return {name: event[key] for key, name in names.items() if key in event}


def _raw(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")


# ---- comparing


def difference(case: FixtureCase, rans: Sequence[Ran]) -> list[str]:
    """What came out unlike what should: lines of a diff (`-` expected, `+` came out); none where it is alike.

    Keys in any order and `1` for `1.0` are alike. An expected error is part of the one that came.
    """
    got = [_got(ran) for ran in rans]
    outputs = [case.output] if case.output is not None else case.outputs or []
    expected: list[Object]
    if case.results is not None:
        expected = [one.shape() for one in case.results]
    elif case.error is not None:
        expected = [{"error": case.error} for _ in got]
    elif case.dropped:
        expected = [{"dropped": True} for _ in got]
    elif len(got) == 1:
        expected = [_shape(outputs)]
    else:  # all outputs in a row, whichever event they are of
        expected = [{"output": output} for output in outputs]
        got = [row for shape in got for row in _rows(shape)]
    for place, (wanted, found) in enumerate(zip(expected, got, strict=False)):
        if "error" in wanted and wanted["error"] in found.get("error", ""):
            expected[place] = found
    before, after = _lines(expected), _lines(got)
    return list(difflib.unified_diff(before, after, n=2, lineterm=""))[2:] if before != after else []


def _got(ran: Ran) -> Object:
    if isinstance(ran, Failed):
        return {"error": ran.reason}
    return _shape([json.loads(raw) for raw in ran.events])


def _shape(outputs: Sequence[Any]) -> Object:
    if not outputs:
        return {"dropped": True}
    return {"output": outputs[0]} if len(outputs) == 1 else {"outputs": list(outputs)}


def _rows(shape: Object) -> list[Object]:
    if "outputs" in shape:
        return [{"output": output} for output in shape["outputs"]]
    return [] if "dropped" in shape else [shape]


def _lines(shapes: Sequence[Object]) -> list[str]:
    whole = [_plain(shape) for shape in shapes]
    text = json.dumps(whole[0] if len(whole) == 1 else whole, indent=2, sort_keys=True, ensure_ascii=False)
    return [line.removesuffix(",") for line in text.split("\n")]  # a comma more is no difference of its own


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT:
        return int(value)
    return value
