"""Meets the limit on file size, then has it lifted. `python limited_writer.py FOLDER`; prints JSON.

A process of its own because the limit counts for the whole process.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from pathlib import Path

from partition_files import MARKS, small

from dataplane.log.local import open_writer
from turnout.errors import LogFull

LIMIT = 20_000


async def main(folder: Path) -> None:
    writer = open_writer(folder, small(1 << 20))
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, resource.RLIM_INFINITY))
    stored: list[int] = []
    refused = ""
    while not refused:
        try:
            stored.append(await writer.append(b"", MARKS, b"%d" % len(stored) * 700))
        except LogFull as error:
            refused = str(error)
    full = writer.health()
    size = (folder / f"{0:020d}.log").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    again = -1
    while again < 0:
        try:
            again = await writer.append(b"", MARKS, b"after")
        except LogFull:
            await asyncio.sleep(0.01)
    await writer.close()
    facts = {"stored": stored, "refused": refused, "size": size}
    facts |= {"full": full.full, "open": full.open, "head": full.head}
    print(json.dumps(facts | {"again": again, "open_after": full.open}))  # noqa: T201 - the answer to the parent


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
