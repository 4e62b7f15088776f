"""Destinations against recorded answers of a peer, through `turnout preview --jsonl`.

Compared by meaning: headers without case, queries without order whether in the address or beside it,
JSON inside forms as JSON, 1.0 as 1. A peer's texts of errors are not compared, only what kind they are.
Tokens that only the network can give are not compared either; of cases that look something up, what is
written in the end is.
"""

from __future__ import annotations

import fnmatch
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import yaml

from destinations.rudderstack import NAMES
from tools.meaning import address, difference, joined, request_of
from tools.vector_cases import KINDS, Vector, lines_of, others, vectors_in

__all__ = ["compare", "measure"]

ROOT = Path(__file__).parent.parent
LEAST = 0.97
"""Share of the cases that is to be as expected, deviating ones left out."""
MOST = 0.1
"""Share of a tool's cases that may deviate; two always may."""


# ---- comparing


def compare(vector: Vector, found: Sequence[tuple[Sequence[int], Mapping[str, Any]]]) -> str:
    """"" where the answers to a case's lines are as expected, else the first difference."""
    made: list[tuple[frozenset[int], Any]] = []
    before: list[tuple[frozenset[int], Any]] = []
    verdicts: dict[int, Mapping[str, Any]] = {}
    recorded = {address(call["request"]) for call in vector.case.get("network") or []}
    if recorded:
        recorded |= {address(call["request"]) for call in others(vector.case)} - _written(vector.case["expect"])
    if answers := vector.case.get("_answers"):
        recorded |= {address(call["request"]) for call in answers} - _written(vector.case["expect"])
    for places, answer in found:
        asked = [
            (frozenset(places[i] for i in one["events"]), request_of(one)) for one in answer["requests"]
        ]
        made += [one for one in asked if (one[1]["method"], one[1]["url"]) not in recorded]
        before += [one for one in asked if (one[1]["method"], one[1]["url"]) in recorded]
        made += [
            (frozenset(places[i] for i in one["events"]), request_of({"record": one})) for one in answer["records"]
        ]
        verdicts.update({places[one["event"]]: one for one in answer["verdicts"]})
    if vector.kind == "delivery":
        return _judged(vector.case, verdicts)
    if vector.kind == "processor":
        return _made(vector.case["expect"], [one for _, one in made], verdicts, before)
    return _batched(vector.case, made, verdicts, before)


def _written(expect: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Where a case's requests go in the end."""
    parts = [*(expect.get("batches") or []), *(expect.get("mixed") or []), expect]
    wanted = [one for part in parts for one in (part.get("requests") or part.get("output") or [])]
    return {(made["method"], made["url"]) for made in map(request_of, wanted) if "url" in made}


def _unsent(wanted: Iterable[tuple[Set[Any], Any]], before: Sequence[tuple[Set[Any], Any]]) -> list[Any]:
    """What is expected without what a peer had sent already when it answered (299), as we have on our way.

    Both are requests with the jobs that they are for.
    """
    left: list[Any] = []
    spare = list(before)
    for among, one in wanted:
        fitting = [i for i, (events, sent) in enumerate(spare) if events <= among and not difference(one, sent)]
        if fitting:
            spare.pop(fitting[0])
        else:
            left.append((among, one))
    return left


def _made(
    expect: Mapping[str, Any], made: Sequence[Any], verdicts: Mapping[int, Mapping[str, Any]],
    before: Sequence[tuple[Set[int], Any]],
) -> str:
    if "error" in expect:
        return _failed(int(expect.get("statusCode") or 400), verdicts[0], unset=_unset(expect))
    parts = expect.get("mixed") or [expect]
    every = [(frozenset({0}), request_of(one)) for part in parts for one in part.get("output") or []]
    wanted = joined(one for _, one in _unsent(every, before))
    made = joined(made)
    if len(wanted) != len(made):
        return f"{len(wanted)} requests expected, {len(made)} found ({verdicts[0]['outcome']}: {verdicts[0]['reason']})"
    for one, mine in zip(wanted, made, strict=True):
        if (found := difference(one, mine)) and difference(one, _unbatched(mine)):
            return found
    return ""


def _unbatched(request: Mapping[str, Any]) -> Mapping[str, Any]:
    """The request with the only item of its batch as body: a peer's processor answers before it makes batches.

    What is sent is compared in router cases, where the batch is there.
    """
    body = request.get("body", {}).get("json")
    items = next(iter(body.values())) if isinstance(body, dict) and len(body) == 1 else body
    alone = isinstance(items, list) and len(items) == 1 and isinstance(items[0], dict)
    return {**request, "body": {"json": items[0]}} if alone else request


def _batched(
    case: Mapping[str, Any], made: Sequence[tuple[frozenset[int], Any]], verdicts: Mapping[int, Mapping[str, Any]],
    before: Sequence[tuple[frozenset[int], Any]],
) -> str:
    jobs = [one.get("metadata", {}).get("jobId", i) for i, one in enumerate(case["inputs"])]
    mine = [({jobs[i] for i in events}, one) for events, one in made]
    wanted: list[tuple[set[Any], Any]] = []
    for batch in case["expect"]["batches"]:
        if "error" in batch or not 200 <= int(batch.get("statusCode") or 200) < 300:
            for place, job in enumerate(jobs):
                if job in batch["jobs"] and (
                    said := _failed(_status(batch), verdicts[place], unset=_unset(batch))
                ):
                    return f"job {job}: {said}"
            continue
        wanted += [(set(batch["jobs"]), request_of(one)) for one in batch.get("requests") or []]
    wanted = _unsent(wanted, [({jobs[i] for i in events}, one) for events, one in before])
    if len(wanted) != len(mine):
        others = [f"{v['outcome']} {v['reason']}" for v in verdicts.values() if v["outcome"] != "delivered"]
        return f"{len(wanted)} requests expected, {len(mine)} found {others[:2]}"
    for among, one in wanted:
        fitting = [i for i, (events, request) in enumerate(mine) if events <= among and not difference(one, request)]
        if not fitting:
            near = next((request for events, request in mine if events <= among), None)
            return difference(one, near) if near else f"no request for jobs {sorted(map(str, among))}"
        mine.pop(fitting[0])
    return ""


def _judged(case: Mapping[str, Any], verdicts: Mapping[int, Mapping[str, Any]]) -> str:
    expect = case["expect"]
    statuses = [job["statusCode"] for job in expect.get("jobs") or []]
    if len(statuses) != len(verdicts):
        status = int(expect.get("status", expect.get("httpStatus")))
        if status < 300:  # beside a kind of error it is the tool's own status, of an answer that hides an error
            status = {"aborted": 400, "retryable": 500, "throttled": 429}.get(expect.get("errorType"), status)
        statuses = [status] * len(verdicts)
    for place, status in enumerate(statuses):
        verdict = verdicts[place]
        if 200 <= int(status) < 300:
            if verdict["outcome"] not in ("delivered", "filtered"):
                return f"event {place}: {status} expected, {verdict['outcome']} found: {verdict['reason']}"
        elif said := _failed(int(status), verdict, refused=_refused(case)):
            return f"event {place}: {said}"
    return ""


def _refused(case: Mapping[str, Any]) -> bool:
    """Whether the credentials were refused: the peer says so, or the tool answered 401, which pauses here."""
    answers = [call.get("response") or {} for call in case.get("network") or []]
    return case["expect"].get("meta") == "accessTokenExpired" or any(one.get("status") == 401 for one in answers)


def _status(batch: Mapping[str, Any]) -> int:
    """The status of a batch; a peer calls some failures of the network 400 and says beside that they are retried."""
    return 500 if batch.get("errorType") == "retryable" else int(batch["statusCode"])


def _unset(expect: Mapping[str, Any]) -> bool:
    """Whether a peer had no credentials, which it keeps elsewhere: here they are settings, and one is missing."""
    return expect.get("errorType") == "oAuthSecret"


def _failed(status: int, verdict: Mapping[str, Any], *, refused: bool = False, unset: bool = False) -> str:
    """The peer's status as one of our outcomes: a refused event, a later attempt, a refused destination.

    `refused` where it is the credentials, whatever status the peer makes of that; `unset` where it has none.
    """
    if unset and verdict["outcome"] == "dead" and verdict["reason"].startswith("settings: "):
        return ""
    outcomes = {"dead", "filtered"}
    if refused:
        outcomes.add("pause")
    if status in (401, 403):
        outcomes |= {"pause", "retry"}
    elif status in (408, 429) or status >= 500:
        outcomes = {"retry", "pause"}
    elif status == 298:
        outcomes = {"filtered"}
    outcome, reason = verdict["outcome"], verdict["reason"]
    return "" if outcome in outcomes else f"{status} expected, {outcome} found: {reason}"


# ---- running


def measure(folder: Path, slugs: Sequence[str] = (), *, case: str = "", verbose: bool = False) -> int:
    """Print a table and the first differences; 1 where a tool has fewer than 97 % or too many deviations."""
    vectors = [one for one in vectors_in(folder, slugs) if not case or one.case["id"] == case]
    kinds = {slug: name for name, (slug, _) in NAMES.items()}
    names = {id(one.case): one.case.get("_type", kinds.get(one.slug, one.slug)) for one in vectors}
    lines = [line for one in vectors for line in lines_of(one, names[id(one.case)])]
    ran = subprocess.run(
        [sys.executable, "-m", "dataplane.cli.main", "preview", "--jsonl"],
        input="\n".join(json.dumps(line) for line in lines), capture_output=True, text=True, check=False, cwd=ROOT,
    )
    if ran.returncode:
        print(ran.stderr.strip())
        return 1
    answers: dict[str, list[tuple[Sequence[int], Mapping[str, Any]]]] = {}
    alone: dict[str, list[tuple[Sequence[int], Mapping[str, Any]]]] = {}
    for text in ran.stdout.splitlines():
        answer = json.loads(text)
        ident, places, *unbatched = json.loads(answer["id"])
        (alone if unbatched else answers).setdefault(ident, []).append((places, answer))
    if case:
        shown = [{name: value for name, value in one.case.items() if name[0] != "_"} for one in vectors]
        print(json.dumps({"case": shown, "answers": answers.get(case)}, indent=1))
    rows: dict[str, dict[str, Counter[str]]] = {}
    differences: list[str] = []
    for one in vectors:
        group = rows.setdefault(one.slug, {}).setdefault(one.kind if one.pure else f"{one.kind} asking", Counter())
        group["total"] += 1
        if _deviates(one):
            group["deviating"] += 1
        elif (said := compare(one, answers.get(one.case["id"], []))) and (
            one.case["id"] not in alone or compare(one, alone[one.case["id"]])
        ):
            differences.append(f"{one.case['id']}: {said}")
        else:
            group["passed"] += 1
    return _report(rows, differences, verbose=verbose or bool(case))


_DEVIATIONS: dict[str, list[str]] = {}


def _deviates(vector: Vector) -> bool:
    if vector.slug not in _DEVIATIONS:
        path = ROOT / "destinations" / vector.slug / "deviations.yaml"
        rows = yaml.safe_load(path.read_text()) if path.exists() else []
        _DEVIATIONS[vector.slug] = [row["case"] for row in rows or []]
    return any(fnmatch.fnmatch(vector.case["id"], one) for one in _DEVIATIONS[vector.slug])


def _cell(group: Counter[str]) -> str:
    return f"{group['passed']} / {group['deviating']} / {group['total']}" if group else ""


def _report(rows: Mapping[str, Mapping[str, Counter[str]]], differences: Sequence[str], *, verbose: bool) -> int:
    columns = [kind + more for kind in KINDS for more in ("", " asking")]
    print(f"{'passed / deviating / total':28}" + "".join(f"{name:>18}" for name in columns) + f"{'pure':>8}")
    short = []
    for slug, groups in sorted(rows.items()):
        cells = [groups.get(name, Counter()) for name in columns]
        shown = "".join(f"{_cell(cell):>18}" for cell in cells)
        pure = sum((cells[i] for i in (0, 2, 4)), Counter())
        share = pure["passed"] / max(1, pure["total"] - pure["deviating"])
        every = sum(cells, Counter())
        if share < LEAST or every["deviating"] > max(2, every["total"] * MOST):
            short.append(slug)
        print(f"{slug:28}{shown}{share:8.1%}")
    for line in differences if verbose else differences[:20]:
        print(f"  {line[:600]}")
    if short:
        print(f"below {LEAST:.0%}, or with too many deviations: {', '.join(short)}")
    return 1 if short else 0
