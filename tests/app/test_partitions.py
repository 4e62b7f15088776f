"""Several ingest processes: one port, one order, one rate, and each may die alone."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from bench.plane import NotReady, Plane
from bench.sink import Sink
from tests.app.test_app_run import until

CONFIG = """\
server: {{port: {port}}}
admin: {{port: 0}}
egress: {{allow_private: true}}
processes: {{ingest: {ingest}}}
sources:
  website: {{write_key: wk_test}}
  slow: {{write_key: wk_slow, rate: 5}}
destinations:
  hook:
    type: webhook
    enabled: {enabled}
    settings: {{webhook_url: "{url}/"}}
{extra}
"""


def config(
    sink: Sink, ingest: int, *, port: int = 0, enabled: bool = True, extra: str = ""
) -> str:
    return CONFIG.format(url=sink.url, ingest=ingest, port=port, enabled=str(enabled).lower(), extra=extra)


def post(plane: Plane, event: dict[str, Any], key: str = "wk_test") -> int:
    """Over a connection of its own, which the kernel gives to any of the processes."""
    parts = urlsplit(plane.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        body = json.dumps({"type": "track", "event": "Step", "userId": "u", **event})
        connection.request("POST", "/v1/track", body, {"X-Write-Key": key, "Content-Type": "application/json"})
        return connection.getresponse().status
    finally:
        connection.close()


def patient(plane: Plane, event: dict[str, Any]) -> None:
    """As an SDK: until it is acknowledged."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if post(plane, event) == 200:
                return
        except (OSError, http.client.HTTPException):
            continue  # its process died before it answered
    raise AssertionError("never acknowledged")


def metrics(plane: Plane) -> str:
    import urllib.request

    token = (plane.folder / "data/admin.token").read_text().strip()
    request = urllib.request.Request(f"{plane.admin}/metrics", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(answer.read().decode())


def first_arrivals(sink: Sink) -> list[str]:
    return list(dict.fromkeys(event["messageId"] for event in sink.events))


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as made:
        yield made


def test_one_client_over_many_connections_keeps_its_order_and_duplicates_are_found_anywhere(
    sink: Sink, planes: Callable[[str], Plane]
) -> None:
    plane = planes(config(sink, 3)).start()
    sent = [f"m{n}" for n in range(90)]
    for ident in sent:
        assert post(plane, {"messageId": ident}) == 200
    for ident in sent[:30]:  # by now through other processes
        assert post(plane, {"messageId": ident}) == 200
    assert sink.wait(lambda s: len(s.events) >= 90)
    assert first_arrivals(sink) == sent

    def counted() -> bool:
        source = plane.status()["sources"]["website"]
        return bool(source["unique"] == 90 and source["duplicate"] == 30)

    until(counted)
    assert len(sink.events) == 90
    status = plane.status()
    assert status["health"]["ok"], status["health"]
    assert set(status["roles"]) == {"ingest", "ingest-1", "ingest-2", "pipeline"}
    parts = status["log"]["partitions"]
    assert {number: part["role"] for number, part in parts.items()} == {
        "0": "ingest", "1": "ingest-1", "2": "ingest-2",
    }  # fmt: skip
    assert all(part["records"] > 0 for part in parts.values()), "the kernel spreads connections"
    assert sum(part["records"] for part in parts.values()) == status["log"]["records"] == 120
    assert status["position"] == status["head"] == status["log"]["head"]
    text = metrics(plane)
    assert 'turnout_gateway_requests_total{source="website",status="200"} 120.0' in text
    assert "turnout_log_appended_total 120.0" in text
    for role in ("ingest", "ingest-1", "ingest-2", "pipeline"):
        assert f'turnout_role_up{{role="{role}"}} 1.0' in text


def test_a_killed_ingest_process_comes_back_alone_while_the_others_take_events(
    sink: Sink, planes: Callable[[str], Plane]
) -> None:
    plane = planes(config(sink, 3)).start()
    before = plane.status()["roles"]
    os.kill(before["ingest"]["pid"], signal.SIGKILL)  # the one that chose the port
    sent = [f"m{n}" for n in range(40)]
    for ident in sent:
        patient(plane, {"messageId": ident})
    until(lambda: plane.status()["health"]["ok"] and plane.status()["roles"]["ingest"]["restarts"] == 1)
    after = plane.status()["roles"]
    assert [after[name]["pid"] for name in ("ingest-1", "ingest-2", "pipeline")] == [
        before[name]["pid"] for name in ("ingest-1", "ingest-2", "pipeline")
    ]
    for ident in (late := [f"late{n}" for n in range(40)]):
        assert post(plane, {"messageId": ident}) == 200
    assert sink.wait(lambda s: len(first_arrivals(s)) >= 80)
    assert first_arrivals(sink) == sent + late


def test_from_one_process_to_three_and_back_with_a_backlog_nothing_is_lost_and_order_stays(
    sink: Sink, planes: Callable[[str], Plane]
) -> None:
    plane = planes(config(sink, 1, enabled=False))
    sent: list[str] = []
    for step, ingest in enumerate((1, 3, 1, 2)):
        plane.config.write_text(config(sink, ingest, enabled=False))
        plane.start()
        for n in range(25):
            sent.append(f"m{step}-{n}")
            assert post(plane, {"messageId": sent[-1]}) == 200
        if step % 2:
            plane.kill()  # and as a power cut leaves it
        else:
            assert plane.stop() == 0
    plane.config.write_text(config(sink, 1, enabled=False))
    plane.start()
    parts = plane.status()["log"]["partitions"]
    assert {number: part["role"] for number, part in parts.items()} == dict.fromkeys(parts, "ingest")
    assert len(parts) == 3, "what is left is kept until it is released"
    plane.config.write_text(config(sink, 1))
    plane.ask("/reload", b"")
    assert sink.wait(lambda s: len(first_arrivals(s)) >= len(sent))
    assert first_arrivals(sink) == sent
    until(lambda: all(p["sequenced"] == p["head"] for p in plane.status()["log"]["partitions"].values()))


def test_a_reload_reaches_every_process_or_none(sink: Sink, planes: Callable[[str], Plane]) -> None:
    plane = planes(config(sink, 3)).start()
    plane.config.write_text(config(sink, 3, extra="sources2: {}"))
    os.kill(plane.pid, signal.SIGHUP)
    until(lambda: (plane.status()["config"]["last_reload"] or {}).get("result") == "rejected")
    assert {post(plane, {}) for _ in range(12)} == {200}
    plane.config.write_text(config(sink, 3).replace("wk_test", "wk_new"))
    os.kill(plane.pid, signal.SIGHUP)
    until(lambda: plane.status()["config"]["last_reload"]["result"] == "applied")
    assert {post(plane, {}, "wk_new") for _ in range(12)} == {200}
    assert {post(plane, {}) for _ in range(12)} == {401}
    plane.config.write_text(config(sink, 2))
    os.kill(plane.pid, signal.SIGHUP)
    until(lambda: "restart" in plane.status()["config"]["last_reload"]["reason"])


def test_a_rate_is_for_all_processes_together(sink: Sink, planes: Callable[[str], Plane]) -> None:
    plane = planes(config(sink, 3)).start()
    began = time.monotonic()
    answers = [post(plane, {}, "wk_slow") for _ in range(60)]
    most = 5 + 5 * (time.monotonic() - began) + 1
    assert 5 <= answers.count(200) <= most
    assert set(answers) <= {200, 429}


def test_a_shared_port_is_not_shared_with_another_turnout(
    sink: Sink, planes: Callable[[str], Plane]
) -> None:
    first = planes(config(sink, 2)).start()
    port = urlsplit(first.url).port or 0
    with pytest.raises(NotReady, match="cannot listen"):
        planes(config(sink, 2, port=port)).start()
    assert {post(first, {}) for _ in range(8)} == {200}


def test_a_taken_port_is_said_with_several_processes_too(sink: Sink, planes: Callable[[str], Plane]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(NotReady, match="cannot listen"):
        planes(config(sink, 3, port=taken.getsockname()[1])).start()
