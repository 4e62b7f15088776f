"""Every metric once: its name, labels, unit, meaning, and what to do when it looks wrong.

Roles count in memory and answer the control verb `stats` with `[name, [label values], number]`;
the app adds equal samples of all processes together. docs/metrics.md is made from this file, and a
sample whose name is not declared here is not exported and said once in the log.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["METRICS", "Metric", "Sample", "by_name"]

Sample = tuple[str, tuple[str, ...], float]
"""A metric's name, its label values in declared order, and the number."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. `merge` says what the samples of several processes with equal labels become; `stored` counters go on
    where they were when their process begins again."""

    name: str
    kind: Literal["counter", "gauge"]
    labels: tuple[str, ...]
    unit: str
    meaning: str
    action: str
    merge: Literal["sum", "max", "min"] = "sum"
    stored: bool = False


METRICS: tuple[Metric, ...] = (
    Metric(
        "turnout_gateway_requests_total", "counter", ("source", "status"), "requests",
        "Requests to the public port by the source they named (empty where none is known) and HTTP status.",
        "Many 401: a write key was changed. Many 400: see `turnout refused`. Any 503: see turnout_log_open.",
    ),
    Metric(
        "turnout_gateway_events_total", "counter", ("source", "result"), "events",
        "Events by source; result is accepted or refused.",
        "A rise of refused events: `turnout refused --source NAME` lists them with the reason.",
    ),
    Metric(
        "turnout_gateway_bytes_total", "counter", ("source",), "bytes",
        "Request bodies as received.",
        "A jump without more events: a client grew its payloads.",
    ),
    Metric(
        "turnout_gateway_slow_bodies_total", "counter", ("source",), "requests",
        "Bodies that only the slow JSON parser reads, such as those with lone surrogates.",
        "Many: a client sends broken text; each costs ten times the usual.",
    ),
    Metric(
        "turnout_gateway_refused_kept_bytes_total", "counter", ("source",), "bytes",
        "Bytes of wholly refused requests kept for `turnout refused`.",
        "Near server.limits.refused_bytes a day: later ones are only counted.",
    ),
    Metric(
        "turnout_gateway_refused_unkept_total", "counter", ("source",), "requests",
        "Wholly refused requests that were only counted, beyond server.limits.refused_bytes.",
        "Any: mend the client, or raise the limit to see what it sends.",
    ),
    Metric(
        "turnout_gateway_requests_in_flight", "gauge", (), "requests",
        "Requests to the public port that have no answer yet.",
        "Stays high: the log's disk is slow; see turnout_log_sync_seconds_total.",
    ),
    Metric(
        "turnout_gateway_connections_turned_total", "counter", (), "connections",
        "Connections closed at once, beyond server.limits.connections.",
        "Any: raise the limit (and the process's open files), or find who opens so many.",
    ),
    Metric(
        "turnout_gateway_slow_heads_total", "counter", (), "connections",
        "Connections closed because the headers did not come within server.limits.header_timeout.",
        "Many: an attack by slow clients; the limit holds it off.",
    ),
    Metric(
        "turnout_gateway_connections", "gauge", (), "connections",
        "Connections open at the public port now.",
        "Near server.limits.connections: raise the limit, or look for clients that never close.",
    ),
    Metric(
        "turnout_log_open", "gauge", (), "1 or 0",
        "1 while the log takes events; 0 after a failed sync or while there is no room.",
        "0: the gateway answers 503. `turnout status` says why: make room, or replace the disk and restart.",
        "min",
    ),
    Metric(
        "turnout_log_bytes", "gauge", (), "bytes",
        "Size of the log on disk.",
        "Grows without end: a destination is behind; compare turnout_lag_events.",
    ),
    Metric(
        "turnout_log_appended_total", "counter", (), "records",
        "Requests stored in the log since the ingest process started.",
        "Stands still while requests come in: see turnout_log_open.",
    ),
    Metric(
        "turnout_log_syncs_total", "counter", (), "syncs",
        "Syncs of the log to disk; one serves many requests.",
        "Close to the number of requests: little runs in parallel, or the disk is very fast.",
    ),
    Metric(
        "turnout_log_sync_seconds_total", "counter", (), "seconds",
        "Time spent in syncs; divided by turnout_log_syncs_total it is the mean sync.",
        "Above 50 ms a sync: the disk is slow or shared; every 200 waits for one.",
    ),
    Metric(
        "turnout_sequence_events_total", "counter", ("source", "result"), "events",
        "Events after deduplication; result is unique, duplicate or refused.",
        "Many duplicates: a client sends again what was acknowledged, or reuses messageIds.",
        stored=True,
    ),
    Metric(
        "turnout_events_total", "counter", ("destination", "verdict"), "events",
        "Events that reached their end at a destination; verdict is delivered, filtered, dead or archived.",
        "Any dead: `turnout dead list --destination NAME`. Any archived: its backlog was full.",
        stored=True,
    ),
    Metric(
        "turnout_dead_total", "counter", ("destination", "class"), "events",
        "Events given up since the pipeline started, by error class (docs/dead-letters.md).",
        "rejected: see what the tool answered with `turnout dead show`. script: mend it, then `turnout dead retry`.",
    ),
    Metric(
        "turnout_dead_letters", "gauge", ("destination", "class"), "letters",
        "Dead letters that are kept now: not retried, not discarded, not dropped.",
        "Above none: `turnout dead summary`; look at one of each class, then retry or discard them.",
    ),
    Metric(
        "turnout_letters_dropped_total", "counter", ("kind", "reason"), "letters",
        "Letters dropped; kind is dead or refused, reason is age, bytes or damaged.",
        "dead by bytes: raise dead_letters.max_bytes, or retry or discard sooner. damaged: look at the disk.",
    ),
    Metric(
        "turnout_letters_bytes", "gauge", ("kind",), "bytes",
        "Size of the files of dead letters (dead) and refused events (refused).",
        "Near dead_letters.max_bytes or refused.max_bytes: the oldest are dropped next.",
    ),
    Metric(
        "turnout_born_total", "counter", ("destination",), "events",
        "Events made by transformations beyond one per input.",
        "None; it keeps the sums of events whole.",
        stored=True,
    ),
    Metric(
        "turnout_pending", "gauge", ("destination", "kind"), "events",
        "Events that wait at a destination; kind is queued, in_flight, retrying or waiting.",
        "Grows: the tool answers slowly or with errors; see turnout_requests_total.",
    ),
    Metric(
        "turnout_replays", "gauge", (), "replays",
        "Replays that run now, waiting ones included.",
        "Stays above 0: `turnout replay list` says what one waits for; it may keep the log from letting go.",
    ),
    Metric(
        "turnout_replay_events_total", "counter", ("verdict",), "events",
        "Verdicts of replayed events, which count in no destination; verdict is delivered, filtered or dead.",
        "Many dead: `turnout dead list` shows why; `turnout replay cancel ID` stops the replay.",
        stored=True,
    ),
    Metric(
        "turnout_lag_events", "gauge", ("destination",), "events",
        "Accepted events that the destination has not reached yet.",
        "Grows: raise delivery.concurrency or batch, or find out why the tool is slow.",
    ),
    Metric(
        "turnout_lag_seconds", "gauge", ("destination",), "seconds",
        "Age of the oldest accepted event that the destination has not reached yet.",
        "Above your promise to the users of the tool: as turnout_lag_events.",
        "max",
    ),
    Metric(
        "turnout_destination_state", "gauge", ("destination", "state"), "1 or 0",
        "1 for the state a destination is in: running, paused, down, disabled or stalled.",
        "paused or down: `turnout status` says why and since when.",
        "max",
    ),
    Metric(
        "turnout_backlog_bytes", "gauge", ("destination",), "bytes",
        "Bytes of the log that a destination holds back, from its first undelivered event on.",
        "Grows: as turnout_lag_events.",
        "max",
    ),
    Metric(
        "turnout_backlog_share", "gauge", ("destination",), "share",
        "The destination's backlog as a share of its bound (`backlog.max_age`, `backlog.max_bytes`).",
        "Above 0.8: at 1 its oldest events move to the archive, or no more are taken (`backlog.when_full`).",
        "max",
    ),
    Metric(
        "turnout_archive_expired_total", "counter", ("destination",), "events",
        "Archived events deleted because the archive reached its own bound.",
        "Any: they can no longer be replayed. Raise archive.max_bytes or max_age, or replay sooner.",
        stored=True,
    ),
    Metric(
        "turnout_log_held_bytes", "gauge", (), "bytes",
        "Bytes of the log that some destination still needs.",
        "Near turnout_log_capacity_bytes: the log will be full; see turnout_log_full_in_seconds.",
        "max",
    ),
    Metric(
        "turnout_log_capacity_bytes", "gauge", (), "bytes",
        "The most bytes the log can have: log.max_bytes, or what its disk leaves it.",
        "Shrinks: something else fills the disk.",
        "max",
    ),
    Metric(
        "turnout_log_full_in_seconds", "gauge", (), "seconds",
        "Time until the log is full at the rate of the last minutes; missing while it does not fill.",
        "Below a day: find the destination with the largest turnout_backlog_bytes, or give the log more room.",
        "min",
    ),
    Metric(
        "turnout_requests_total", "counter", ("destination", "status"), "requests",
        "Requests sent to a destination by HTTP status; `0` is no answer.",
        "401: the credentials were refused. 429: lower delivery.rate. 0: the network or the name is wrong.",
    ),
    Metric(
        "turnout_attempts_seconds_total", "counter", ("destination",), "seconds",
        "Time spent waiting for answers; divided by turnout_requests_total it is the mean answer.",
        "Rises: the tool became slow.",
    ),
    Metric(
        "turnout_journal_lost_total", "counter", (), "lines",
        "Lines of the journal of attempts that could not be written; events are not concerned.",
        "Rises: the disk is full. `turnout explain` will not know these attempts.",
    ),
    Metric(
        "turnout_transform_runs_total", "counter", ("script",), "batches",
        "Batches of events run through a transformation.",
        "None.",
    ),
    Metric(
        "turnout_transform_events_total", "counter", ("script", "result"), "events",
        "Events handed to a transformation; result is done or failed.",
        "Any failed: `turnout dead list` shows the script, line and message; mend it, then `turnout dead retry`.",
    ),
    Metric(
        "turnout_transform_seconds_total", "counter", ("script",), "seconds",
        "Time transformations took.",
        "Divided by turnout_transform_runs_total near the script's timeout: make the script cheaper.",
    ),
    Metric(
        "turnout_transform_kills_total", "counter", ("script", "kind"), "kills",
        "Workers killed; kind is timeout, memory or crash.",
        "Any: the script loops or hoards; events that alone kill it are dead letters.",
    ),
    Metric(
        "turnout_transform_stops_total", "counter", ("script",), "stops",
        "Times a transformation was stopped because its workers were killed again and again.",
        "Any: what uses it waits; see turnout_transform_stopped.",
    ),
    Metric(
        "turnout_transform_stopped", "gauge", ("script",), "scripts",
        "1 for a transformation that is stopped; its destinations wait, and one event at a time probes it.",
        "Any: mend the script and reload, or `turnout resume transformation NAME` where the cause is gone.",
        "max",
    ),
    Metric(
        "turnout_transform_worker_starts_total", "counter", (), "starts",
        "Transformation workers started.",
        "Rises with every batch: more scripts than warm workers, or a script that is killed each time.",
    ),
    Metric(
        "turnout_transform_zygote_starts_total", "counter", (), "starts",
        "Times the process that workers are forked from was started again.",
        "More than one: something kills it; look at the machine's memory.",
    ),
    Metric(
        "turnout_transform_fetches_total", "counter", ("script", "result"), "fetches",
        "What scripts fetched; result is answered, cached, failed or refused.",
        "Many refused: a host is missing in the script's fetch.allow. Many failed: the API it asks is ill.",
    ),
    Metric(
        "turnout_transform_fetch_seconds_total", "counter", ("script",), "seconds",
        "Time that scripts waited for what they fetched.",
        "Divided by turnout_transform_fetches_total it is the API's answering time: cache answers, or ask less.",
    ),
    Metric(
        "turnout_transform_workers", "gauge", ("state",), "processes",
        "Transformation workers alive; state is busy or idle.",
        "Always all busy: raise processes.transform, or make the scripts cheaper.",
    ),
    Metric(
        "turnout_role_up", "gauge", ("role",), "1 or 0",
        "1 while a role's process runs and answers.",
        "0: the app starts it again; see turnout_role_restarts_total and the log line role.died.",
        "min",
    ),
    Metric(
        "turnout_role_restarts_total", "counter", ("role",), "restarts",
        "Times a role's process died and was started again.",
        "Rises: a crash loop; the log line role.died names the exit code or signal.",
    ),
    Metric(
        "turnout_role_crash_loop", "gauge", ("role",), "1 or 0",
        "1 while a role's process has died five times within a minute.",
        "1: docs/operations.md, A process dies again and again.",
        "max",
    ),
    Metric(
        "turnout_disk_free_bytes", "gauge", (), "bytes",
        "Free bytes of the disk that the data folder is on.",
        "Near log.min_free_bytes: the gateway is about to answer 503.",
        "min",
    ),
    Metric(
        "turnout_disk_share", "gauge", (), "0 to 1",
        "Part in use of what log.min_free_bytes leaves of the disk; at 1 the gateway answers 503.",
        "Above 0.8: docs/operations.md, The disk is full.",
        "max",
    ),
    Metric(
        "turnout_reloads_total", "counter", ("result",), "reloads",
        "Reloads of the configuration; result is applied or rejected.",
        "rejected: the old configuration still runs; `turnout status` says what was wrong.",
    ),
    Metric(
        "turnout_admin_denied_total", "counter", (), "requests",
        "Requests to the admin port with a missing or wrong token.",
        "Rises: somebody guesses, or a scraper has an old token.",
    ),
    Metric(
        "turnout_alerts_active", "gauge", ("kind",), "alerts",
        "Alerts that stand now.",
        "Any: `turnout alerts list` says what each is about; docs/operations.md what to do.",
    ),
    Metric(
        "turnout_alerts_total", "counter", ("channel", "result"), "alerts",
        "Alerts by channel; result is sent, refused (the channel said no), expired or dropped (it took too long).",
        "Any but sent: `turnout alerts test --channel NAME` shows the answer.",
    ),
    Metric(
        "turnout_alerts_waiting", "gauge", ("channel",), "alerts",
        "Alerts that a channel has not taken yet.",
        "Stays above 0: as turnout_alerts_total.",
    ),
    Metric(
        "turnout_process_cpu_seconds_total", "counter", ("role",), "seconds",
        "CPU time of each process since it started.",
        "Near 1 per second for ingest or pipeline: that process is at its limit.",
    ),
    Metric(
        "turnout_process_resident_bytes", "gauge", ("role",), "bytes",
        "Resident memory of each process.",
        "Grows without end: please report it with `turnout status --json`.",
    ),
)

by_name: dict[str, Metric] = {metric.name: metric for metric in METRICS}
