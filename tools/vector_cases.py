"""Recorded cases of a peer, as lines for `turnout preview --jsonl`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from destinations import registry
from destinations.rudderstack import NAMES
from tools.meaning import address
from tools.peer_delivery import as_sent

__all__ = ["Vector", "address", "lines_of", "others", "vectors_in"]

KINDS = ("processor", "router", "delivery")
CLOCK = "2026-08-06T10:00:00Z"
"""When cases without a clock were recorded."""


class Vector(NamedTuple):
    """One recorded case; `pure` where nothing had to be asked of the network."""

    slug: str
    kind: str
    case: Mapping[str, Any]

    @property
    def pure(self) -> bool:
        """Whether the peer made its answer without looking anything up."""
        return not self.case.get("needs_network")


def lines_of(vector: Vector, kind: str) -> list[dict[str, Any]]:
    """The lines for `turnout preview --jsonl`, one for each destination, connection and account that a case has.

    A case of the processor, and one of a router that makes no batches, has them once more, without batches: one of
    the two answers has to be as expected.
    """
    case = vector.case
    if vector.kind == "processor":
        inputs = [{**case, "jobs": 0}]
    elif vector.kind == "router":
        inputs = list(case["inputs"])
    else:
        inputs = [{"metadata": one} for one in _several(case.get("metadata"))]
    groups: dict[str, list[int]] = {}
    for place, one in enumerate(inputs):
        whole = one.get("destination") or case.get("destination") or {}
        account = (one.get("metadata") or {}).get("secret")
        whole = {**whole, "Config": _configured(one, case), "account": account}
        groups.setdefault(json.dumps(whole, sort_keys=True), []).append(place)
    lines = [
        _line(vector, kind, json.loads(whole), [inputs[i] for i in places], places)
        for whole, places in groups.items()
    ]
    if vector.kind == "processor" or _sent_apart(vector):  # a peer's processor answers before it makes batches
        alone = [
            {**line, "id": json.dumps([*json.loads(line["id"]), "unbatched"]),
             "constants": {"batch": 1, **line["constants"]}}
            for line in lines
        ]
        lines += alone
    return lines


def _sent_apart(vector: Vector) -> bool:
    """Whether a peer's router sends the events of the case one by one: how many travel together is our own affair."""
    batches = vector.case.get("expect", {}).get("batches", []) if vector.kind == "router" else []
    return bool(batches) and all(batch.get("batched") is False for batch in batches)


def _line(
    vector: Vector, kind: str, whole: Mapping[str, Any], inputs: Sequence[Mapping[str, Any]], places: Sequence[int]
) -> dict[str, Any]:
    case = vector.case
    line: dict[str, Any] = {
        "id": json.dumps([case["id"], places]),
        "type": _defined(vector, whole, kind),
        "settings": {**case.get("_settings", {}), **(whole.get("Config") or {})},
        "destination": {"id": str(whole.get("ID") or ""), "workspace_id": whole.get("WorkspaceID")},
        "events": [
            {"message": one.get("message") or {}, "metadata": one.get("metadata") or {}} for one in inputs
        ],
        "clock": case.get("clock_iso") or _iso(case.get("clock")) or CLOCK,
        "constants": {**(case.get("env") or {}), **(case.get("peer_constant_override") or {})},
    }
    network = [*case["network"], *others(case)] if case.get("network") else _logins(case)
    if network := [*network, *case.get("_answers", ())]:
        line["network"] = network
    if vector.kind == "delivery":
        line["request"] = case["request"]
    return line


def others(case: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Calls recorded with the peer's other cases, of addresses that it did not ask here since it remembered them.

    Those that failed are not among them: nobody remembers a failure.
    """
    own = {address(call["request"]) for call in case["network"]}
    return [
        call for call in case.get("_network") or []
        if address(call["request"]) not in own and 200 <= int((call.get("response") or {}).get("status") or 0) < 300
    ]


def _defined(vector: Vector, whole: Mapping[str, Any], kind: str) -> str:
    """The peer's name of the destination of a case, where that is one of the same tool: it stands for settings."""
    name = str(whole.get("DefinitionName") or "").upper()
    return name if name in NAMES and NAMES[name][0] == vector.slug else kind


def _logins(case: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Calls recorded with the peer's other cases that gave it an access token, which its cache hides here."""
    answers = [(call, (call.get("response") or {}).get("data")) for call in case.get("_network") or []]
    return [call for call, data in answers if isinstance(data, dict) and "access_token" in data]


def _configured(one: Mapping[str, Any], case: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of an event of a case; what a peer sets where a source meets a destination is one here, too."""
    whole = one.get("destination") or case.get("destination") or {"Config": case.get("destinationConfig")}
    connection = one.get("connection") or case.get("connection") or {}
    met = (connection.get("config") or {}).get("destination") or {}
    return {**met, **(whole.get("Config") or {})}


def _several(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value or [{}]
    return [value or {}]


def _iso(value: Any) -> str | None:
    return value if isinstance(value, str) else None


# ---- reading


def vectors_in(folder: Path, slugs: Sequence[str]) -> Iterator[Vector]:
    """The cases of destinations that we have, those of `slugs` where any are named."""
    known = registry.slugs()
    for path in sorted((folder / "destinations").glob("*.json")):
        name = path.stem.upper()
        slug = NAMES[name][0] if name in NAMES else ""
        if slug not in known or (slugs and slug not in slugs):
            continue
        whole = json.loads(path.read_text())
        settings = _settings(whole)
        for kind in KINDS:
            for case in whole.get(kind) or []:
                if case.get("verified") is not False:
                    own = case.get("destinationConfig") or (settings if kind == "delivery" else None)
                    more = {"destinationConfig": own, "_type": name, "_network": whole.get("all_network_mocks")}
                    yield Vector(slug, kind, as_sent(name, kind, {**case, **more}))


def _settings(whole: Mapping[str, Any]) -> Mapping[str, Any]:
    """Settings that the tool takes, for cases about an answer alone, which have none: those of its first good case."""
    for case in whole.get("processor") or []:
        if "error" not in case["expect"] and case.get("destination"):
            return _configured(case, case)
    for case in whole.get("router") or []:
        if any("error" not in batch for batch in case["expect"]["batches"]):
            return _configured(case["inputs"][0], case)
    return {}
