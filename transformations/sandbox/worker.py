"""The worker's loop: read a frame, run the script over its events, answer. Runs locked.

It serves one script for its whole life. After a soft timeout or when memory ran out it reports what
was done and ends: its state is not to be trusted any more, and a fresh fork costs milliseconds.
"""

from __future__ import annotations

import gc
import os
import socket
from collections.abc import Callable
from functools import partial

import orjson

from transformations.python import deadline
from transformations.python.batch import Batch
from transformations.python.program import Fault, Program
from transformations.sandbox import wire

__all__ = ["probe", "serve"]

_CHUNK = 1 << 20


def serve(channel: int) -> None:
    """Answer requests until the other side hangs up."""
    gc.set_threshold(50_000, 20, 20)
    deadline.install()
    current: Program | None = None
    while True:
        payload = _read(channel)
        kind = payload[0]
        if kind == wire.LOAD:
            current = Program(orjson.loads(memoryview(payload)[1:]))
            _timed(current, current.load)
            continue
        assert current is not None
        if kind == wire.CHECK:
            _timed(current, partial(_check, current))
            _write(channel, _fault(current.fault) if current.fault else wire.reply((), ()))
            continue
        answer = _run(current, payload)
        _write(channel, answer)
        if current.spent:
            os._exit(0)


def probe(channel: int) -> None:
    """Break the rules in the ways that matter: a file, memory to execute, then a socket.

    Says which of the milder ones passed, then asks for a socket, which must kill; whoever returns
    from here was not locked.
    """
    found = b""
    try:
        os.open("/", os.O_RDONLY)
        found += b"file "
    except OSError:
        pass
    _write(channel, wire.frame(wire.DONE, found))
    socket.socket()


def _check(program: Program) -> None:
    """Run the module once, without events."""
    if program.fault is None:
        batch = Batch(program, (), ())
        batch.run()
        program.fault = batch.fault


def _timed(program: Program, step: Callable[[], None]) -> None:
    """Run a step under the soft deadline; being cut off becomes the program's fault."""
    try:
        deadline.arm(min(program.timeout, wire.LOADING))
        try:
            step()
        finally:
            deadline.disarm()
    except deadline.Expired:
        deadline.disarm()
        seconds = min(program.timeout, wire.LOADING)
        program.fault = Fault("timeout", f"took longer than {seconds:g} s to load", program.file)
        program.spent = True
    except MemoryError:
        program.fault = Fault("memory", "needs more memory than allowed to load", program.file)
        program.spent = True


def _run(program: Program, payload: bytes) -> bytes:
    if program.fault is not None:
        return _fault(program.fault)
    flags, events, metadata = wire.read_request(payload)
    batch = Batch(program, events, metadata)
    try:
        deadline.arm(program.timeout)
        try:
            batch.run()
        finally:
            deadline.disarm()
    except deadline.Expired:
        deadline.disarm()
        batch.stopped(wire.TIMEOUT, f"took longer than {program.timeout:g} s")
    except MemoryError:
        batch.stopped(wire.MEMORY, "needs more memory than allowed")
    if batch.fault is not None:
        return _fault(batch.fault)
    return wire.reply(batch.codes, batch.blobs, orjson.dumps(batch.logs) if flags & wire.TRIAL else b"")


def _fault(fault: Fault) -> bytes:
    return wire.frame(wire.FAULT, orjson.dumps(
        {"kind": fault.kind, "message": fault.message, "file": fault.file, "line": fault.line}
    ))


def _read(channel: int) -> bytes:
    """One payload; ends the process when the pool is gone."""
    (length,) = wire.HEADER.unpack(_exactly(channel, wire.HEADER.size))
    return _exactly(channel, length)


def _exactly(channel: int, length: int) -> bytes:
    first = os.read(channel, min(length, _CHUNK))
    if len(first) == length:
        return first
    parts = bytearray(first)
    while len(parts) < length:
        data = os.read(channel, min(length - len(parts), _CHUNK))
        if not data:
            os._exit(0)
        parts += data
    return bytes(parts)


def _write(channel: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(channel, view):]
