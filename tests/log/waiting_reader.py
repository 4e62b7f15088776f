"""Reads until a body says `stop`; prints each body. `python waiting_reader.py FOLDER`; dies when asked to hang."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from dataplane.log.local import open_reader


async def main(folder: Path) -> None:
    reader = open_reader(folder)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    position, going = 0, True
    while going:
        if not await reader.wait(position, 20):
            raise TimeoutError("nothing came")
        for record in reader.read(position):
            position = record.end
            sys.stdout.write(record.body.decode() + "\n")
            sys.stdout.flush()
            going = record.body != b"stop"
    reader.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
