"""Forks writers that append as fast as they can, for their parent to kill: `python crashing_writer.py FOLDER [spares]`.

For every line on stdin one writer is forked and its pid printed. It acknowledges into `FOLDER.acks`, one
line per record and only after the log did: `{turn} {task} {number} {position}`. When it is dead, `dead`
is printed. Forking spares each of them the imports. With `spares` segments are filled ahead from the start.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from partition_files import MARKS, small

from dataplane.log import partition
from dataplane.log.base import LogWriter
from dataplane.log.local import open_writer

TASKS = 20


async def client(writer: LogWriter, acks: int, turn: int, task: int) -> None:
    number = 0
    while True:
        body = b"%d %d %d " % (turn, task, number) + b"." * (number * 37 % 700)
        position = await writer.append(b"", MARKS, body)
        os.write(acks, b"%d %d %d %d\n" % (turn, task, number, position))
        number += 1


async def work(folder: Path, turn: int) -> None:
    acks = os.open(f"{folder}.acks", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    writer = open_writer(folder, small(64 << 10))
    await asyncio.gather(*[client(writer, acks, turn, task) for task in range(TASKS)])


if __name__ == "__main__":
    if "spares" in sys.argv:
        partition.SMALLEST, partition.BUSY = 16 << 10, 4096
    for turn, _ in enumerate(iter(sys.stdin.readline, "")):
        pid = os.fork()
        if pid == 0:
            asyncio.run(work(Path(sys.argv[1]), turn))
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
        os.waitpid(pid, 0)
        sys.stdout.write("dead\n")
        sys.stdout.flush()
