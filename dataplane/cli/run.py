"""`turnout run`."""

from __future__ import annotations

from pathlib import Path

from dataplane.app.fork import fork_roles
from dataplane.app.loop import run as run_loop
from dataplane.app.run import Front, Options, serve
from dataplane.app.supervisor import Supervisor
from dataplane.cli.output import say

__all__ = ["run"]


def run(config: Path, *, demo: bool, watch: bool, ready_file: Path | None, as_json: bool) -> None:
    """Run until a signal; raises what kept it from starting."""
    options = Options(
        _front, say, demo=demo, watch=watch, ready_file=ready_file, as_json=as_json, forked=fork_roles()
    )
    run_loop(serve(config, options))


def _front(supervisor: Supervisor) -> Front:
    from dataplane.api.server import Admin  # aiohttp.web: imported while the roles start

    return Admin(supervisor)
