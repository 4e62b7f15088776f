"""Log lines are JSON outside a terminal, and hold neither secrets nor what an exception quotes."""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import logging
from dataplane.metrics.log import configure, logger
configure(role="ingest")
log = logger(part="gateway")
log.info("gateway.ready", url="http://x", write_key="wk_secret")
try:
    raise ValueError("jane@example.com")
except ValueError as error:
    log.failure("gateway.failed", error)
    logging.getLogger("aiohttp.server").exception("Error handling %s", "jane@example.com")
import structlog
try:
    raise KeyError("jane@example.com")
except KeyError as error:
    structlog.get_logger().error("other.room", exc_info=error)
"""


def test_lines_are_json_with_facts_and_without_messages_of_exceptions() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout == ""
    assert "jane" not in ran.stderr
    assert "wk_secret" not in ran.stderr
    ready, failed, library, other = (json.loads(line) for line in ran.stderr.splitlines())
    assert ready["event"] == "gateway.ready"
    assert (ready["role"], ready["part"], ready["url"]) == ("ingest", "gateway", "http://x")
    assert failed["error"] == "ValueError"
    assert failed["at"][0].endswith("<module>")
    assert (library["library"], library["text"]) == ("aiohttp.server", "Error handling %s")
    assert other["error"] == "KeyError"


def test_a_process_that_says_nothing_does_not_import_structlog() -> None:
    program = "import sys; from dataplane.metrics.log import configure, logger; configure(role='x'); logger(); " \
              "sys.exit('structlog' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0


def test_a_line_that_cannot_be_written_is_no_error_and_the_next_one_tells() -> None:
    program = """
import os, sys
from dataplane.metrics.log import configure, logger
configure(role="ingest")
log, stderr = logger(), os.dup(2)
os.dup2(os.open("/dev/full", os.O_WRONLY), 2)
log.warning("log.full")
log.error("state.stuck")
os.dup2(stderr, 2)
log.info("gateway.ready")
log.info("gateway.stopped")
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stderr
    lines = {line["event"]: line for line in map(json.loads, ran.stderr.splitlines())}
    assert lines["gateway.ready"]["lines_lost"] == 2
    assert "lines_lost" not in lines["gateway.stopped"]
