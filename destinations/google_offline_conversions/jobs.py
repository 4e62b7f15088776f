"""How far an exchange with jobs has come, so that none is run twice.

A job is made, filled and run. Until it is run it counts for nothing: one whose filling nobody knows the end of is left
behind, and another is made. From the moment it is full its name is kept, and to run it again does no harm.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any, Final

from turnout import Json, Request, Response, codec
from turnout.paths import get
from turnout.request import Checkpoint

__all__ = ["JOBS", "Progress", "key_of", "submitted"]

JOBS: Final = "/offlineUserDataJobs"
_STARTED: Final = b"JOB_ALREADY_STARTED"
Steps = Generator[Request | Checkpoint, Response | None, Response]


class Progress:
    """`jobs` that are full, and the `answers` that are final, by request. `kept` once a checkpoint was yielded."""

    def __init__(self, state: Any = None) -> None:
        known = state if isinstance(state, dict) else {}
        self.kept = bool(known)
        self.jobs: dict[str, Any] = dict(known.get("jobs") or {})
        self.answers: dict[str, Any] = dict(known.get("answers") or {})
        self.open = False

    def state(self) -> dict[str, Any]:
        """What `Progress` is made of again."""
        return {"jobs": self.jobs, "answers": self.answers}

    def answer(self, key: str) -> Response | None:
        """The answer to a request that need not be sent again."""
        known = self.answers.get(key)
        return None if known is None else _long(known)

    def note(self, key: str, response: Response) -> None:
        """Remember a final answer."""
        self.answers[key] = _short(response)


def key_of(request: Request) -> str:
    """What tells the requests of an exchange apart."""
    return sha256(repr((request.url, request.events)).encode()).hexdigest()[:16]


def submitted(request: Request, host: str, progress: Progress, *, validate: bool) -> Steps:
    """Make, fill and run the job of a request (`{"job", "operations"}`); the answer that decides is returned."""
    key = key_of(request)
    full = progress.jobs.get(key)
    if full is None:
        assert isinstance(request.body, Json)
        made = yield replace(request, url=f"{request.url}:create", body=Json({"job": request.body.value["job"]}))
        assert made is not None
        if not 200 <= made.status < 300:
            return made
        name = get(made.json(), "resourceName", None)
        if not isinstance(name, str) or not name.startswith("customers/"):
            return Response(0, error="Google made a job and did not name it")
        filled = yield _of(request, host, name, ":addOperations", {
            "operations": request.body.value["operations"], "enablePartialFailure": True, "validateOnly": validate,
        })  # fmt: skip
        assert filled is not None
        if not 200 <= filled.status < 300 or filled.cut:
            return filled
        full = progress.jobs[key] = {"name": name, "said": _short(filled)}
        progress.kept = True
        yield Checkpoint(progress.state())
    run = yield _of(request, host, str(full["name"]), ":run", {"validateOnly": validate})
    assert run is not None
    if 200 <= run.status < 300 or (run.status == 400 and _STARTED in run.body):
        return _long(full["said"])
    return run


def _of(request: Request, host: str, name: str, verb: str, body: Any) -> Request:
    return replace(request, url=f"{host}/{name}{verb}", body=Json(body))


def _short(response: Response) -> dict[str, Any]:
    """The status, and by code of an error the places that it is about: a full batch must fit into a checkpoint."""
    codes: dict[str, list[Any]] = {}
    failure = get(response.json(), "partialFailureError", None)
    details = get(failure, "details", None)
    for detail in details if isinstance(details, list) else ():
        errors = get(detail, "errors", None)
        for error in errors if isinstance(errors, list) else ():
            places = get(error, "location.fieldPathElements", None)
            index = next((get(one, "index", None) for one in places), None) if isinstance(places, list) else None
            found = get(error, "errorCode", None)
            code = next(iter(found.values()), "") if isinstance(found, dict) else ""
            codes.setdefault(str(code)[:80], []).append(index if isinstance(index, int) else None)
    return {"status": response.status, "codes": codes, "failed": bool(failure)}


def _long(known: Mapping[str, Any]) -> Response:
    """The answer that `_short` made short, as far as verdicts are read from it."""
    if not known.get("failed"):
        return Response(int(known["status"]))
    errors = [
        {"errorCode": {"error": code}, "location": {"fieldPathElements": [{"index": index}]}}
        for code, places in known["codes"].items() for index in places
    ]
    body = codec.dumps({"partialFailureError": {"code": 3, "details": [{"errors": errors}] if errors else []}})
    return Response(int(known["status"]), body=body)
