"""The measuring itself is right: ratios, CPU of process trees, requests, the report."""

from __future__ import annotations

import base64
import gzip
import itertools
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench import __main__ as report
from bench import adapters_bench, cpu, deliver_bench, machine
from bench.load import Apart, Numbered, batch, drive, encode, number_of, post
from bench.paired import Paired, interleaved, paired
from bench.row import at_least, at_most, plain, skipped
from bench.sink import Sink
from destinations import registry


def test_a_row_says_whether_its_target_is_met() -> None:
    assert at_most("x", 2.0, 2.0).ok
    assert not at_most("x", 2.1, 2.0).ok
    assert at_least("x", 3.0, 3.0).target == ">= 3"
    assert plain("x", 1.0, "s").ok is None
    assert skipped("x", "why").note == "why"


def test_the_ratio_is_the_median_of_pairs_not_the_ratio_of_medians() -> None:
    found = Paired((1.0, 10.0, 3.0), (1.0, 5.0, 1.0))
    assert found.ratio == 2.0
    assert found.spread == (1.0, 3.0)


def test_slices_take_turns_and_the_warm_up_is_thrown_away() -> None:
    calls: list[str] = []
    values = itertools.count(1.0)

    def slice_of(name: str) -> float:
        calls.append(name)
        return next(values)

    found = paired(lambda: slice_of("a"), lambda: slice_of("b"), rounds=2)
    assert "".join(calls) == "baabba"
    assert (found.a, found.b) == ((3.0, 6.0), (4.0, 5.0))
    assert interleaved({"only": lambda: 7.0}, rounds=3) == {"only": [7.0, 7.0, 7.0]}


def test_cpu_of_a_tree_counts_children_and_threads() -> None:
    busy = "import time\nuntil = time.process_time() + 0.2\nwhile time.process_time() < until: pass\n"
    code = (
        "import subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-c', {busy!r} + 'print(1, flush=True); input()'],"
        " stdin=subprocess.PIPE)\n"
        f"exec({busy!r})\n"
        "child.wait()\n"
    )
    # The parent's own 0.2 s are over when the child prints or soon after: poll for both.
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        until = time.monotonic() + 60
        while cpu.cpu_seconds(process.pid, whole_tree=False) < 0.2 and time.monotonic() < until:
            time.sleep(0.01)
        own, whole = cpu.cpu_seconds(process.pid, whole_tree=False), cpu.cpu_seconds(process.pid)
        assert own >= 0.2
        assert whole >= own + 0.2
        assert len(cpu.tree(process.pid)) == 2
        assert "-c" in cpu.command(process.pid)
        assert cpu.anonymous_memory(process.pid) > 1_000_000
    finally:
        for pid in reversed(cpu.tree(process.pid)):
            subprocess.run(["kill", "-9", str(pid)], check=False)
        process.wait()


def test_what_is_gone_has_no_cpu_and_no_command() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert cpu.cpu_seconds(process.pid) == 0.0
    assert cpu.tree(process.pid) == []
    assert cpu.command(process.pid) == ""


def test_prepared_requests_are_what_an_sdk_sends() -> None:
    request = post("http://127.0.0.1:99", "/v1/batch", "wk", encode(batch(3, 2)), compress=True)
    head, _, body = request.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert b"Authorization: Basic " + base64.b64encode(b"wk:") in head
    assert json.loads(gzip.decompress(body)) == batch(3, 2)


def test_numbered_requests_differ_in_ids_and_users_only_where_they_should() -> None:
    single = Numbered("http://127.0.0.1:99", "wk", by_connection=True)
    first, second = (json.loads(single(n, 4).partition(b"\r\n\r\n")[2]) for n in (1, 0xABCDE))
    assert (number_of(first), number_of(second)) == (1, 0xABCDE)
    assert first["userId"] == second["userId"] == "guest-000004"

    many = Numbered("http://127.0.0.1:99", "wk", 50)
    events = json.loads(many(7, 0).partition(b"\r\n\r\n")[2])["batch"]
    assert [number_of(e) for e in events] == list(range(350, 400))
    assert [e["userId"] for e in events] == [f"guest-{n:06d}" for n in range(350, 400)]
    assert [e["anonymousId"][:13] for e in events] == [f"device-{n:06d}" for n in range(350, 400)]


def test_load_is_sent_counted_and_remembered(sink: Sink) -> None:
    requests = Numbered(sink.url, "wk")
    here = drive(sink.url, requests, connections=3, count=20, keep=True)
    with Apart() as apart:
        there = apart.drive(sink.url, requests, connections=2, first=20, count=10, rate=500.0).result()

    assert (here.good, there.good, here.bad) == (20, 10, {})
    assert sorted(here.acknowledged) == list(range(20))
    assert sorted(number_of(e) for e in sink.events) == list(range(30))


def test_load_against_nobody_ends_with_nothing() -> None:
    with Sink() as sink:
        url = sink.url
    assert drive(url, Numbered(url, "wk"), connections=2, count=5).good == 0


def test_the_report_has_every_row_and_a_broken_module_does_not_take_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good = "from bench.row import at_most\ndef rows(): return [at_most('good', 1, 2)]"
    (tmp_path / "good_bench.py").write_text(good)
    (tmp_path / "bad_bench.py").write_text("def rows(): raise ValueError('no disk')")
    import bench

    monkeypatch.setattr(bench, "__path__", [*bench.__path__, str(tmp_path)])
    monkeypatch.setattr(report, "MODULES", ("good_bench", "bad_bench", "missing_bench"))
    monkeypatch.setattr(sys, "argv", ["bench", "--output", str(tmp_path / "out.json")])

    assert report.main() == 1
    written = json.loads((tmp_path / "out.json").read_text())
    assert [(row["name"], row["ok"]) for row in written["rows"]] == [
        ("good", True), ("bad_bench", False), ("missing_bench", False)
    ]
    assert "ValueError: no disk" in written["rows"][1]["note"]
    assert written["machine"].keys() == machine.describe().keys()
    assert "1 targets missed" not in capsys.readouterr().out


def test_the_rows_of_delivery_run_with_the_engine_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its parts are called as the engine calls them, so a change there must not leave it behind unseen."""
    monkeypatch.setattr(deliver_bench, "EVENTS", 500)
    found = deliver_bench.rows(rounds=1)
    assert all(row.value is not None and row.value > 0 for row in found)


def test_the_rows_of_adapters_run_with_every_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each tool's fixtures make requests, a tool that nothing names is not imported, and what filters is counted."""
    monkeypatch.setattr(adapters_bench, "EVENTS", 40)
    found = {row.name: row for row in adapters_bench.rows()}
    assert {f"adapters: {slug}" for slug in registry.own()} <= found.keys()
    assert found["adapters: tools imported that no destination names"].value == 0
    assert all(row.value is not None and row.value >= 0 for row in found.values())
