"""`turnout pause` and `turnout resume`."""

from __future__ import annotations

from pathlib import Path

from dataplane.cli.client import Client, find_socket
from dataplane.cli.output import json_line, say
from turnout import codec

__all__ = ["pause", "resume"]


def pause(config: Path, socket: Path | None, kind: str, name: str, reason: str, *, as_json: bool) -> None:
    """Pause something."""
    wanted = {"kind": kind, "name": name, "reason": reason}
    found = Client(find_socket(config, socket)).post("/pause", codec.dumps(wanted))
    if as_json:
        json_line(found)
        return
    paused = found["paused"]
    why = f": {paused['reason']}" if paused["reason"] else ""
    how = "is paused" if found["changed"] else "was paused already"
    say(f"{kind} {name} {how} (by {paused['by']}, {paused['since']}){why}")


def resume(config: Path, socket: Path | None, kind: str, name: str, *, as_json: bool) -> None:
    """Let something go on."""
    found = Client(find_socket(config, socket)).post("/resume", codec.dumps({"kind": kind, "name": name}))
    if as_json:
        json_line(found)
        return
    say(f"{kind} {name} " + ("goes on" if found["changed"] else "was not paused"))
    if found["still"]:
        say(f"  but it is still {found['still']}")
