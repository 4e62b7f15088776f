"""The data folder: who may read it, who uses it, and the admin token in it."""

from __future__ import annotations

import fcntl
import os
import pwd
import secrets
import time
from pathlib import Path

from dataplane.config import Config
from turnout.errors import Fixable

__all__ = [
    "RESTORING", "Lock", "admin_token", "check_owner", "check_whole", "clear_rates", "log_folder", "make_folders",
    "rates_folder", "write_private",
]

RESTORING = ".restoring"
"""Folder in a data folder while a restore fills that."""


def log_folder(data: Path, partition: int = 0) -> Path:
    """The folder of one partition of the log."""
    return data / "log" / str(partition)


def rates_folder(data: Path) -> Path:
    """What the ingest processes of one run share about the rates of sources."""
    return data / "rates"


def clear_rates(data: Path) -> None:
    """Forget what an earlier run counted: its clock may have been that of another boot."""
    for path in rates_folder(data).iterdir():
        path.unlink()


def make_folders(data: Path) -> None:
    """Make the data folder and those in it, for nobody else to read (0700).

    Raises `Fixable` where they cannot be made, or belong to another user.
    """
    check_owner(data)
    check_whole(data)
    inside = (
        data / "log", log_folder(data), data / "sequence", data / "state", data / "dead", rates_folder(data),
    )
    try:
        for folder in (data, *inside):
            folder.mkdir(mode=0o700, parents=folder == data, exist_ok=True)
        data.chmod(0o700)
    except OSError as error:
        raise Fixable(f"data: cannot make {error.filename or data}: {error.strerror}") from None


def check_whole(data: Path) -> None:
    """Refuse a folder that a restore is filling, or was killed in: what is there may be a part. Raises `Fixable`."""
    if (data / RESTORING).exists():
        raise Fixable(
            f"{data} is being filled by `turnout restore`, or holds what a killed one left: when none runs, delete all "
            "that is in it and restore again"
        )


def check_owner(data: Path) -> None:
    """Refuse a folder of another user: also root would leave files in it that the owner cannot open.

    Raises `Fixable`; a folder that does not exist is nobody's.
    """
    try:
        owner = data.stat().st_uid
    except FileNotFoundError:
        return
    except OSError as error:
        raise Fixable(f"data: cannot look at {data}: {error.strerror}") from None
    if owner != os.geteuid():
        theirs, ours = _user(owner), _user(os.geteuid())
        raise Fixable(
            f"data: {data} belongs to {theirs}, and this runs as {ours}: run it as {theirs}, or give"
            f" {ours} the folder (chown -R {ours} {data})"
        )


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


class Lock:
    """Holds a data folder for one app and its roles; freed by the kernel when all of them are gone."""

    def __init__(self, data: Path, patience: float = 1.0) -> None:
        """Take it, waiting `patience` seconds for the roles of an app that was just killed."""
        self._path = data / "lock"
        try:
            self.fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Fixable(f"data: cannot write {self._path}: {error.strerror}") from None
        until = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    self._refuse(data)
                time.sleep(0.05)
        os.ftruncate(self.fd, 0)
        os.pwrite(self.fd, f"{os.getpid()}\n".encode(), 0)

    def _refuse(self, data: Path) -> None:
        owner = os.pread(self.fd, 20, 0).decode("ascii", "replace").strip()
        os.close(self.fd)
        raise Fixable(f"{data} is in use by another turnout (process {owner or 'unknown'})")

    def release(self) -> None:
        """Let go; roles that still live keep it until they end."""
        os.close(self.fd)


def write_private(path: Path, content: str) -> None:
    """Write a file at once or not at all, readable by its owner only (0600)."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def admin_token(config: Config) -> str:
    """The admin API's token: the configured one, else that of <data>/admin.token, made when missing."""
    configured = config.admin.token.get_secret_value()
    if configured:
        return configured
    path = config.data / "admin.token"
    if not path.exists():
        write_private(path, secrets.token_urlsafe(32) + "\n")
    token = path.read_text(encoding="utf-8").strip()
    if len(token) < 16:
        raise Fixable(f"{path} holds no token of 16 characters or more: delete it and a new one is made")
    return token
