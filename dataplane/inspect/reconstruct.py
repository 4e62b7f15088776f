"""By what an event was handled then: the adapter and scripts of an old config, made ready again.

What was in force comes from data/history by the hashes that the journal names, secrets masked. Where
something of it is not kept any more, a note says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from dataplane.config import masked
from dataplane.config.model import DestinationConfig
from dataplane.deliver.courier import Courier
from dataplane.deliver.journal import Origin
from dataplane.deliver.plans import delivery_of, gate_of, told
from dataplane.deliver.trace import versions
from dataplane.inspect.walk import Means
from destinations import registry
from transformations.base import Script
from turnout.destination import Context
from turnout.errors import Fixable
from turnout.preview import MASK

if TYPE_CHECKING:
    from dataplane.deliver.engine import Engine

__all__ = ["Rebuilt", "rebuild", "running"]

PATIENCE = 1.0
"""Seconds an old script may run: explaining must not hold a worker for longer."""


@dataclass(slots=True)
class Rebuilt:
    """`means` is None where the way cannot be walked at all; `notes` say what is missing and why."""

    config: str
    running: bool
    scripts: dict[str, str]
    means: Means | None = None
    notes: list[str] = field(default_factory=list)


def running(courier: Courier, source: str, at: datetime) -> Rebuilt:
    """The running config's means of a destination."""
    plan = courier.plan
    assert plan.gate is not None  # only a replay's has none
    made = Rebuilt(plan.origin.config, True, versions(plan.origin, source))
    upstream = plan.upstream.get(source, ())
    if not _asks((*upstream, *plan.chain), made.notes):
        context = Context(at, plan.delivery)
        made.means = Means(plan.gate, plan.chain, plan.adapter, context, source in plan.trusted, upstream, plan.told)
    return made


def _asks(chain: Sequence[Script], notes: list[str]) -> bool:
    """Whether a script of the chain fetches: explaining asks nobody, so it is not run again."""
    asking = [script.name for script in chain if script.reach.hosts]
    if asking:
        notes.append(f"not run again, since it fetches from other hosts: {', '.join(asking)}")
    return bool(asking)


def rebuild(engine: Engine, origin: Origin, source: str, at: datetime, now_called: str = "") -> Rebuilt:
    """The means that an origin names: the running ones where they are the same, else those of history.

    `now_called` is the destination's id where it has another one since.
    """
    ident = now_called or origin.destination
    courier = engine.couriers.get(ident)
    if courier is not None:
        now = courier.plan.origin
        if (now.config, now.scripts) == (origin.config, origin.scripts):
            return running(courier, source, at)
    made = Rebuilt(origin.config, False, versions(origin, source))
    shown = engine.history.config(origin.config)
    item = _item(shown, origin.destination)
    if shown is None or item is None:
        made.notes.append(f"the config of then ({origin.config}) is not kept any more")
        return made
    upstream, chain = (_chain(engine, courier, one, made.notes) for one in origin.passed(source))
    if upstream is None or chain is None or _asks((*upstream, *chain), made.notes):
        return made
    try:
        tool = registry.find(item.type)
    except Fixable as error:
        made.notes.append(str(error))
        return made
    gate = gate_of(origin.destination, tool, item)
    trusted = bool((shown.get("sources") or {}).get(source, {}).get("trusted"))
    chains = {
        name: one.get("transformation") or [] for name, one in shown["destinations"].items() if isinstance(one, Mapping)
    }
    said = told(origin.destination, tool, chains)
    made.means = Means(gate, chain, None, Context(at, delivery_of(tool, item)), trusted, upstream, said)
    try:
        adapter = registry.build(item.type, _filled(item.settings, *_running_settings(engine, ident)))
    except (Fixable, ValidationError):
        made.notes.append("the request cannot be rebuilt: a setting of then was a secret, and is another now")
        return made
    made.means = replace(made.means, adapter=adapter)
    return made


def _item(shown: dict[str, Any] | None, destination: str) -> DestinationConfig | None:
    """A destination of an old config; None where this version cannot read it."""
    try:
        return DestinationConfig.model_validate((shown or {})["destinations"][destination])
    except (KeyError, TypeError, ValidationError):
        return None


def _chain(
    engine: Engine, courier: Courier | None, scripts: Sequence[tuple[str, str]], notes: list[str]
) -> tuple[Script, ...] | None:
    """The scripts of then; None, and a note, where one of them is not kept any more."""
    now = {script.version: script for script in courier.plan.scripts} if courier is not None else {}
    found: list[Script] = []
    for name, version in scripts:
        script = now.get(version)
        if script is None:
            script = engine.history.script(version)
            if script is None:
                notes.append(f"version {version} of the transformation {name} is not kept any more")
                return None
            item = engine.config.transformations.get(name)
            secrets = {key: value.get_secret_value() for key, value in item.credentials.items()} if item else {}
            script = replace(
                script, name=name, timeout=min(script.timeout, PATIENCE), credentials=secrets
            )
        found.append(script)
    return tuple(found)


def _running_settings(engine: Engine, destination: str) -> tuple[Any, Any]:
    """Settings of the running config, as shown and as they are; {} where it has no such destination."""
    item = engine.config.destinations.get(destination)
    if item is None:
        return {}, {}
    return masked(engine.config)["destinations"][destination]["settings"], item.settings


def _filled(old: Any, shown: Any, real: Any) -> Any:
    """Settings of then, each masked one from now where it looks the same when it is masked."""
    if isinstance(old, Mapping):
        return {key: _filled(value, _of(shown, key), _of(real, key)) for key, value in old.items()}
    if isinstance(old, list):
        return [_filled(value, _of(shown, index), _of(real, index)) for index, value in enumerate(old)]
    return real if isinstance(old, str) and MASK in old and old == shown else old


def _of(holder: Any, key: Any) -> Any:
    if isinstance(holder, Mapping):
        return holder.get(key)
    return holder[key] if isinstance(holder, list) and isinstance(key, int) and key < len(holder) else None
