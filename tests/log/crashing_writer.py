"""Appends as fast as it can from many tasks; its parent kills it. `python crashing_writer.py FOLDER ROUND`.

Prints one line per acknowledged record, only after the acknowledgement: `{task} {number} {position}`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from partition_files import MARKS, small

from dataplane.log.local import open_writer

TASKS = 20


async def client(writer: object, task: int, turn: int) -> None:
    number = 0
    while True:
        body = b"%d %d %d " % (turn, task, number) + b"." * (number * 37 % 700)
        position = await writer.append(b"", MARKS, body)  # type: ignore[attr-defined] # any LogWriter
        os.write(1, b"%d %d %d\n" % (task, number, position))
        number += 1


async def main(folder: Path, turn: int) -> None:
    writer = open_writer(folder, small(64 << 10))
    await asyncio.gather(*[client(writer, task, turn) for task in range(TASKS)])


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
