"""What taking an event costs: a running gateway on the local log beside a bare aiohttp handler.

`python -m bench.ingest_bench` prints the rows; `python -m bench.ingest_bench serve PORTFILE FOLDER`
is the server that is measured. The load is `bench.load`, on this machine, 32 connections; what is
counted is the server's CPU.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import orjson
import uvloop

from bench.cpu import cpu_seconds
from bench.load import Cycle, batch, drive, encode, event, post
from bench.paired import Paired, interleaved, paired
from bench.row import Row, at_most, plain

KEY = "wk_bench"
SLICE = 0.5
EVENTS = 50


def rows() -> list[Row]:
    """Ratios to the bare handler, to plain batches and to `orjson.loads`."""
    return [*_served(), *_envelope()]


def _served() -> list[Row]:
    one_body, many_body = encode(event(1)), encode(batch(1, EVENTS))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bare = stack.enter_context(_process("bench.bare", folder / "bare"))
        ours = stack.enter_context(_process("bench.ingest_bench", folder / "ours", "serve", folder / "log"))
        found = interleaved(
            {
                "single, bare": _slice(bare, "/v1/track", one_body),
                "single": _slice(ours, "/v1/track", one_body),
                "batch, bare": _slice(bare, "/v1/batch", many_body),
                "batch": _slice(ours, "/v1/batch", many_body),
                "gzip": _slice(ours, "/v1/batch", many_body, compress=True),
            },
            rounds=6,
        )

    def ratio(a: str, b: str) -> Paired:
        return Paired(tuple(found[a]), tuple(found[b]))

    one, many, gzip = ratio("single", "single, bare"), ratio("batch", "batch, bare"), ratio("gzip", "batch")
    return [
        at_most("ingest: single over a bare handler", one.ratio, 2.0, note=one.note),
        at_most(f"ingest: batch of {EVENTS} over a bare handler", many.ratio, 6.5, note=many.note),
        at_most("ingest: gzip batch over plain batch", gzip.ratio, 1.25, note=gzip.note),
        plain("ingest: CPU of a single event", _middle(found["single"]) * 1e6, "us"),
        plain(f"ingest: CPU of a batch of {EVENTS}", _middle(found["batch"]) * 1e6, "us"),
    ]


def _slice(server: tuple[int, str], path: str, body: bytes, *, compress: bool = False) -> Callable[[], float]:
    """CPU seconds per request of a server under `SLICE` seconds of load."""
    pid, url = server
    requests = Cycle((post(url, path, KEY, body, compress=compress),))

    def run() -> float:
        before = cpu_seconds(pid)
        load = drive(url, requests, seconds=SLICE)
        if load.bad or not load.good:
            raise RuntimeError(f"{path} was answered with {load.bad or 'nothing'}")
        return (cpu_seconds(pid) - before) / load.good

    return run


def _envelope() -> list[Row]:
    from dataplane.protocols import PROTOCOLS, record
    from turnout.protocol import Envelope, Limits

    protocol, limits = PROTOCOLS["rudder"], Limits()
    body = encode(batch(1, EVENTS))
    route = next(route for route in protocol.routes if route.path == "/v1/batch")

    def work() -> None:
        parsed = protocol.parse(body, route, limits)
        record.marks(parsed.keys, parsed.refused)
        record.encode(Envelope("website", protocol.name, route.kind, 1_770_000_000_000, "127.0.0.1"))

    def cost(run: Callable[[], object]) -> Callable[[], float]:
        def measured() -> float:
            began = time.thread_time()
            for _ in range(200):
                run()
            return time.thread_time() - began

        return measured

    pair = paired(cost(work), cost(lambda: orjson.loads(body)), rounds=9)
    return [at_most("ingest: envelope work over orjson.loads", pair.ratio, 0.75, note=pair.note)]


def _middle(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


@contextmanager
def _process(module: str, port_file: Path, *words: str | Path) -> Iterator[tuple[int, str]]:
    """A server of its own that writes its port; its pid and URL."""
    first, rest = words[:1], words[1:]
    # libuv's io_uring helper thread would be counted as the server's.
    environ = {**os.environ, "UV_USE_IO_URING": "0"}
    process = subprocess.Popen([sys.executable, "-m", module, *first, port_file, *rest], env=environ)
    try:
        while not port_file.exists():
            if process.poll() is not None:
                raise RuntimeError(f"{module} ended with {process.returncode}")
            time.sleep(0.02)
        yield process.pid, f"http://127.0.0.1:{port_file.read_text()}"
    finally:
        process.kill()
        process.wait()


async def _serve(port_file: Path, folder: Path) -> None:
    from dataplane.clock import SystemClock
    from dataplane.config.model import Config
    from dataplane.gateway import Gateway
    from dataplane.log.local import open_writer

    config = Config.model_validate({"server": {"port": 0}, "sources": {"website": {"write_key": KEY}}})
    gateway = Gateway(config, open_writer(folder, config.log), SystemClock())
    await gateway.start()
    written = port_file.with_suffix(".new")
    written.write_text(str(gateway.port))
    written.rename(port_file)
    await asyncio.Event().wait()


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        uvloop.run(_serve(Path(sys.argv[2]), Path(sys.argv[3])))
    else:
        for row in rows():
            print(f"{row.name:45} {row.value:8.2f} {row.unit:3} {row.target:10} {row.ok!s:5} {row.note}")
