"""From config.yaml to plans: every destination's adapter, delivery, gate, scripts and sender."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from dataplane.config.model import Config, DestinationConfig
from dataplane.deliver.auth import Accounts
from dataplane.deliver.guard import guarded
from dataplane.deliver.history import config_hash
from dataplane.deliver.http import Sender
from dataplane.deliver.journal import Origin
from dataplane.deliver.plan import Plan
from dataplane.pipeline.route import Gate
from dataplane.pipeline.scripts import read_scripts
from dataplane.pipeline.share import WHOLE, Share
from dataplane.pipeline.upstream import Chains
from destinations import registry
from transformations.base import Runner, Script
from turnout.destination import Client, Delivery, Destination

__all__ = ["build", "client_of", "delivery_of", "gate_of", "origin_scripts", "told"]


Tool = Destination[Any] | type[Destination[Any]]


def delivery_of(adapter: Tool, config: DestinationConfig) -> Delivery:
    """The tool's own delivery with what the config overrides."""
    chosen = {k: v for k, v in config.delivery if v is not None}
    return replace(adapter.delivery, **chosen)


def client_of(kind: str, adapter: Destination[Any], delivery: Delivery, config: Config) -> Client | None:
    """What writes the records of a tool that is not HTTP, held to `egress` as far as its hosts are known."""
    return guarded(
        registry.client(kind, adapter.settings, base=config.folder, delivery=delivery),
        allow_private=config.egress.allow_private, timeout=delivery.timeout.total_seconds(),
    )


def gate_of(ident: str, adapter: Tool, config: DestinationConfig) -> Gate:
    """How events address it."""
    spellings: Iterable[str] = ((config.name,) if config.name else ()) + adapter.names
    return Gate(
        id=ident,
        keys=tuple(dict.fromkeys(name.lower() for name in spellings)),
        kinds=frozenset(str(kind) for kind in adapter.kinds),
        sources=None if config.sources is None else frozenset(config.sources),
        options=adapter.options,
    )


Prove = Callable[[Config, Mapping[str, Script]], Awaitable[None]]
"""Raises `ConfigError` where a script is not to be put in force."""


async def build(
    config: Config, runner: Runner, scripts: Mapping[str, Script] | None = None, prove: Prove | None = None,
    *, accounts: Accounts, share: Share = WHOLE,
) -> dict[str, Plan]:
    """A plan per destination; every script is compiled in a worker first.

    `scripts` are those to use; None reads them from the files that the config names. `prove` has the
    last word on them; `accounts` keep the access tokens; `share` is what this process has of it all.
    Raises `Fixable`: a script that does not compile or is not proven, settings that are not valid, a missing extra.
    """
    if scripts is None:
        scripts = read_scripts(config)
    for script in scripts.values():
        await runner.check(script)
    if prove is not None:
        await prove(config, scripts)
    shown = config_hash(config)
    upstream = {
        name: tuple(scripts[one] for one in source.transformations)
        for name, source in config.sources.items()
        if source.transformations
    }
    return {
        ident: _plan(
            ident, item, config, tuple(scripts[name] for name in item.transformations),
            upstream=upstream, shown=shown, accounts=accounts, share=share,
        )
        for ident, item in config.destinations.items()
    }


def told(ident: str, adapter: Tool, chains: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """What the transformations of a destination are told of it; nothing where another one of `chains` (names
    of transformations by destination) has the same, since they run once for both."""
    if sum(list(chain) == list(chains[ident]) for chain in chains.values()) > 1:
        return {}
    name = adapter.names[0] if adapter.names else ident
    return {"destinationId": ident, "destinationType": adapter.slug, "destinationName": name}


def _plan(
    ident: str, item: DestinationConfig, config: Config, chain: tuple[Script, ...], *,
    upstream: Chains, shown: str, accounts: Accounts, share: Share,
) -> Plan:
    adapter = registry.build(item.type, item.settings)
    delivery = delivery_of(adapter, item)
    delivery = replace(delivery, concurrency=share.part(delivery.concurrency))
    sender = Sender(
        allow_private=config.egress.allow_private, connections=delivery.concurrency, kept=adapter.answer_bytes,
        stand_ins=config.egress.stand_ins,
    )
    upstream = {name: one for name, one in upstream.items() if item.sources is None or name in item.sources}
    return Plan(
        id=ident,
        adapter=adapter,
        delivery=delivery,
        gate=gate_of(ident, adapter, item),
        chain=chain,
        enabled=item.enabled,
        trusted=frozenset(name for name, source in config.sources.items() if source.trusted),
        sender=accounts.authorize(adapter.auth, sender),
        client=client_of(item.type, adapter, delivery, config),
        fingerprint=_fingerprint(item, config, chain, upstream),
        backlog=item.backlog,
        was=item.was,
        origin=Origin.of(ident, shown, origin_scripts(chain, upstream)),
        upstream=upstream,
        of=share.of,
        told=told(ident, adapter, {name: one.transformations for name, one in config.destinations.items()}),
    )


def origin_scripts(chain: Sequence[Script], upstream: Chains) -> list[tuple[str, str]]:
    """Names and versions as the journal keeps them: those of a source are called `<source>/<name>`."""
    return [
        *((f"{source}/{script.name}", script.version) for source, one in upstream.items() for script in one),
        *((script.name, script.version) for script in chain),
    ]


def _fingerprint(item: DestinationConfig, config: Config, chain: tuple[Script, ...], upstream: Chains) -> str:
    versions = [script.version for script in chain], {name: [s.version for s in one] for name, one in upstream.items()}
    told = [item.model_dump(mode="json", exclude={"backlog"}), config.egress.model_dump(), versions]
    return hashlib.sha256(orjson.dumps(told, option=orjson.OPT_SORT_KEYS)).hexdigest()
