"""What people ask the engine first: its status, and samples for /metrics."""

from __future__ import annotations

from collections import Counter
from typing import Any

from dataplane.deliver import replay_verbs
from dataplane.deliver.courier import Courier
from dataplane.deliver.engine import Engine
from dataplane.deliver.ledger import COUNTED
from dataplane.deliver.showing import show
from dataplane.pipeline.share import LANES

__all__ = ["Sample", "stats", "status"]

Sample = tuple[str, list[str], float]
"""Metric, values of its labels, number."""
STATES = ("running", "paused", "down", "disabled", "stalled")


def status(engine: Engine) -> dict[str, Any]:
    """JSON: per source counts, per destination state, counts and what waits."""
    sequencer = engine.sequencer
    positions = sequencer.positions
    counts = engine.ledger.counts
    destinations: dict[str, Any] = {}
    for ident, courier in sorted(engine.couriers.items()):
        unread = _unread(engine, courier)
        row = show(courier)
        row.update({what: counts[ident, what] for what in COUNTED if what != "cancelled"})
        row["unread"] = unread
        row["pending"] = row["queued"] + row["in_flight"] + row["retrying"] + row["waiting"]
        if (held := engine.backlogs.standings.get(ident)) is not None:
            row["backlog"] = {"bytes": held.bytes, "age": round(held.age), "share": round(held.share, 3)}
        destinations[ident] = row
    sources: dict[str, Any] = {}
    for (source, what), n in sorted(engine.source_counts().items()):
        sources.setdefault(source, {"unique": 0, "duplicate": 0, "refused": 0})[what] = n
    return {
        "sources": sources,
        "destinations": destinations,
        "sequenced": sequencer.next_number - 1,
        "position": sum(positions.values()),
        "head": sum(sequencer.partitions.heads.values()),
        "positions": {str(number): position for number, position in positions.items()},
        "replays": {
            str(work.row.id): replay_verbs.shown(engine, work.row, names=replay_verbs.NAMES) for work in engine.replays
        },
        "state_stuck": engine.ledger.stuck,
        "lost_letters": engine.ledger.lost,
        "buffer": _buffer(engine),
        "stopping_intake": dict(engine.backlogs.stopping),
    }


def _unread(engine: Engine, courier: Courier) -> float:
    """Events it has not read; where several processes share the lanes, what this one's are likely to have of them."""
    unread, share = engine.sequencer.next_number - courier.lanes.position, engine.sequencer.share
    return unread if share.alone else unread * (share.end - share.first) / LANES


def _buffer(engine: Engine) -> dict[str, Any]:
    """How full the log is: bytes held by undelivered events, capacity, seconds until it is full."""
    room = engine.backlogs.room
    return {
        "held": room.held, "capacity": room.capacity, "share": round(room.share, 4),
        "full_in": None if room.full_in is None else round(room.full_in),
    }


def stats(engine: Engine) -> list[Sample]:
    """Samples for /metrics; see dataplane/metrics/declarations.py."""
    found: list[Sample] = []
    for (source, what), n in engine.source_counts().items():
        found.append(("turnout_sequence_events_total", [source, what], n))
    found.append(("turnout_journal_lost_total", [], engine.ledger.journal.lost_ever))
    now = engine.clock.now().timestamp()
    for ident, courier in engine.couriers.items():
        counts = engine.ledger.counts
        found.extend(
            ("turnout_events_total", [ident, verdict], counts[ident, verdict])
            for verdict in ("delivered", "filtered", "dead", "archived")
        )
        found.append(("turnout_born_total", [ident], counts[ident, "born"]))
        found.append(("turnout_archive_expired_total", [ident], counts[ident, "expired"]))
        if (held := engine.backlogs.standings.get(ident)) is not None:
            found.append(("turnout_backlog_bytes", [ident], held.bytes))
            found.append(("turnout_backlog_share", [ident], held.share))
        row = show(courier)
        found.extend(
            ("turnout_destination_state", [ident, state], int(row["state"] == state)) for state in STATES
        )
        found.extend(
            ("turnout_pending", [ident, kind], row[kind])
            for kind in ("queued", "in_flight", "retrying", "waiting")
        )
        unread = _unread(engine, courier)
        found.append(("turnout_lag_events", [ident], unread + row["queued"]))
        oldest = row["oldest_queued_at"]
        found.append(("turnout_lag_seconds", [ident], max(0.0, now - oldest / 1000) if oldest else 0.0))
        found.extend(
            ("turnout_requests_total", [ident, str(code)], n) for code, n in courier.statuses.items()
        )
        found.append(("turnout_attempts_seconds_total", [ident], courier.seconds))
    room = engine.backlogs.room
    found.append(("turnout_log_held_bytes", [], room.held))
    found.append(("turnout_log_capacity_bytes", [], room.capacity))
    if room.full_in is not None:
        found.append(("turnout_log_full_in_seconds", [], room.full_in))
    verdicts: Counter[str] = Counter()
    for replay in engine.replays.rows.values():
        for verdict in ("delivered", "filtered", "dead"):
            verdicts[verdict] += engine.ledger.counts[replay.name, verdict]
    found.append(("turnout_replays", [], sum(1 for _ in engine.replays)))
    found.extend(("turnout_replay_events_total", [verdict], n) for verdict, n in verdicts.items())
    ledger = engine.ledger
    found.extend(("turnout_dead_total", [*key], n) for key, n in ledger.failures.items())
    found.extend(("turnout_dead_letters", [*key], n) for key, n in ledger.state.kept().items())
    found.extend(("turnout_letters_dropped_total", [*key], n) for key, n in engine.retention.dropped.items())
    for kind, files in (("dead", ledger.letters), ("refused", ledger.refusals)):
        found.append(("turnout_letters_bytes", [kind], sum(files.sizes().values())))
    return found
