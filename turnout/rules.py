"""What a tool's answers mean, as a table: rules that come before the house's status table.

Pure. The body is decoded only where a rule for the answer's status asks for something in it, so a
tool whose rules are about trouble pays nothing on success.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from turnout import paths
from turnout.clock import retry_after
from turnout.request import Response
from turnout.verdict import Outcome, Verdict, dead

__all__ = ["Rule", "decide", "decide_item", "per_item"]

Said = Literal["delivered", "filtered", "dead", "retry", "throttle", "pause"]
Status = int | str | Iterable[int]
_CLASSES = {f"{digit}xx": range(digit * 100, digit * 100 + 100) for digit in range(1, 6)}
_TROUBLE = frozenset(range(300, 600))
THROTTLED = 429


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the table; the first one that meets the answer decides.

    `status` is one, several, or a class (`"4xx"`); without it every status from 300 on, so a tool
    that answers errors with 200 names that. `path` looks into the JSON body (`error.code`,
    `errors[*].code`: of any item) for one of `values`, where 17 and "17" are the same; without
    `values` for anything but null, false, 0 and what is empty. `text` stands in the body as it was
    sent. Where both are given both must hold. `reason` is a sentence for people, without a word of
    the answer. `throttle` is a retry before which nothing else is sent either, as after a 429.
    `after` is how many seconds to wait before a retry, where the answer has no Retry-After.
    Raises ValueError for a line that cannot be meant.
    """

    outcome: Said
    reason: str
    status: Status = ()
    path: str = ""
    values: Collection[str | int | float | bool | None] = ()
    text: str = ""
    after: float | None = None
    statuses: frozenset[int] = field(default=frozenset(), init=False, repr=False, compare=False)
    _wanted: frozenset[tuple[str, str]] = field(default=frozenset(), init=False, repr=False, compare=False)
    _text: bytes = field(default=b"", init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.outcome != "throttle" and self.outcome not in set(Outcome):
            raise ValueError(f"rule: {self.outcome!r} is none of {', '.join([*Outcome, 'throttle'])}")
        if not self.reason.strip():
            raise ValueError("rule: needs a reason, a sentence for people")
        if isinstance(self.values, str):
            raise ValueError(f"rule: values is a tuple: ({self.values!r},)")
        if self.values and not self.path:
            raise ValueError("rule: values need a path to be looked for at")
        if self.after is not None and (self.after < 0 or self.outcome not in ("retry", "throttle")):
            raise ValueError("rule: after is seconds before a retry or throttle")
        object.__setattr__(self, "statuses", _statuses(self.status))
        object.__setattr__(self, "_wanted", frozenset(map(_word, self.values)))
        object.__setattr__(self, "_text", self.text.encode())

    def asks(self) -> bool:
        """Whether more than the status is looked at."""
        return bool(self.path or self.text)

    def verdict(self, status: int, found: str = "", after: float | None = None) -> Verdict:
        """The verdict of this line; `found` is the one of `values` that was met."""
        where = f" ({self.path}{' ' + found if found else ''})" if self.path else ""
        reason = f"HTTP {status}{where}: {self.reason}"
        if self.outcome == "throttle":
            return Verdict(Outcome.RETRY, reason, THROTTLED, after)
        return Verdict(Outcome(self.outcome), reason, status, after)

    def found(self, decoded: Any) -> str | None:
        """The one of `values` at `path`, "" where any will do, None where the rule does not hold."""
        for value in _at(decoded, self.path):
            if not self._wanted:
                if value:
                    return ""
            elif isinstance(value, str | int | float | None) and _word(value) in self._wanted:
                return _word(value)[1]
        return None

    def stands(self, body: bytes) -> bool:
        """Whether `text` stands in the body; true where none is asked for."""
        return self._text in body


def decide(rules: Sequence[Rule], response: Response, now: datetime) -> Verdict | None:
    """The verdict of the first rule that meets the answer; None where none does, or none came.

    `now` is for a Retry-After that is a date.
    """
    status, decoded, read = response.status, None, False
    for rule in rules:
        if status not in rule.statuses or not rule.stands(response.body):
            continue
        found: str | None = ""
        if rule.path:
            if not read:
                decoded, read = response.json(), True
            found = rule.found(decoded)
        if found is None:
            continue
        after = rule.after
        if rule.outcome in ("retry", "throttle"):
            told = retry_after(response.header("Retry-After"), now)
            after = told if told is not None else after
        return rule.verdict(status, found, after)
    return None


def decide_item(rules: Sequence[Rule], row: Any, status: int) -> Verdict | None:
    """The same for one row of an answer, already decoded; rules that look for `text` never meet it."""
    for rule in rules:
        if status in rule.statuses and not rule.text:
            found = rule.found(row) if rule.path else ""
            if found is not None:
                return rule.verdict(status, found, rule.after)
    return None


def per_item(
    rows: Any,
    count: int,
    judge: Callable[[Mapping[str, Any]], Verdict],
    *,
    rest: Verdict,
    index: str = "index",
) -> list[Verdict]:
    """One verdict for each of `count` items from rows that name them: `[{"index": 3, "error": …}, …]`.

    `index` is the path of an item's place in the request, from 0; `index=""` takes rows in the order
    of the items. `judge` reads a row; items without one get `rest`. What the answer leaves open is
    never called delivered: where a row that is not delivered names no item of the request, or rows
    in order are not as many as the items, the items without a row are dead, with that reason. `rows`
    that is no list has no rows. Of several rows for an item the first that is not delivered counts.
    """
    listed = [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []
    found: list[Verdict | None] = [None] * count
    odd = isinstance(rows, list) and len(listed) != len(rows)
    if not index and len(listed) != count:
        odd = True
    for place, row in enumerate(listed):
        verdict = judge(row)
        at = paths.get(row, index) if index else place
        if isinstance(at, str) and at.isascii() and at.isdigit():
            at = int(at[:9])
        if isinstance(at, bool) or not isinstance(at, int) or not 0 <= at < count:
            odd = odd or verdict.outcome is not Outcome.DELIVERED
        else:
            found[at] = _worse(found[at], verdict)
    if odd:
        rest = dead("the answer leaves open what became of it", rest.status)
    return [verdict or rest for verdict in found]


def _worse(one: Verdict | None, other: Verdict) -> Verdict:
    return other if one is None or one.outcome is Outcome.DELIVERED else one


def _statuses(given: Status) -> frozenset[int]:
    if isinstance(given, str):
        if given not in _CLASSES:
            raise ValueError(f"rule: status {given!r} is none of {', '.join(_CLASSES)}")
        return frozenset(_CLASSES[given])
    made = frozenset((given,) if isinstance(given, int) else given)
    if not all(isinstance(status, int) and 100 <= status <= 599 for status in made):
        raise ValueError(f"rule: status {given!r}: an HTTP status is a number from 100 to 599")
    return made or _TROUBLE


def _word(value: Any) -> tuple[str, str]:
    """A value to compare by: 17 and "17" alike, true and 1 not."""
    if value is None or isinstance(value, bool):
        return "", {None: "null", True: "true", False: "false"}[value]
    return "text", str(value)


def _at(decoded: Any, path: str) -> Iterator[Any]:
    head, every, tail = path.partition("[*]")
    value = paths.get(decoded, head)
    if not every:
        if value is not paths.MISSING:
            yield value
    elif isinstance(value, list):
        for item in value:
            yield from _at(item, tail.removeprefix("."))
