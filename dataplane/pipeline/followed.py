"""The sidecar as a process reads it that does not write it."""

from __future__ import annotations

import bisect
import os
from collections.abc import Iterator
from pathlib import Path

from dataplane.pipeline.blocks import Block
from dataplane.pipeline.sidecar import SEGMENT, Sidecar
from turnout.errors import Unavailable

__all__ = ["Followed"]


class Followed(Sidecar):
    """Finds blocks up to a number that it is told, never beyond."""

    def __init__(self, folder: Path, upto: int) -> None:
        """Stand before event number `upto`; raises `Unavailable` where there is no sidecar."""
        self._start(folder)
        first = self._firsts[max(0, bisect.bisect_right(self._firsts, upto) - 1)] if self._firsts else 0
        if not self._firsts or (header := self._header(first)) is None:
            raise Unavailable("nothing was sequenced yet: the process that sequences has not started")
        self.positions.update(header.positions)
        self.next_number, self._in, self._offset = first, first, header.size
        while self.advance(upto, SEGMENT):
            pass

    def advance(self, upto: int, most: int) -> list[Block]:
        """The blocks behind those of the last call, of about `most` events, all before event `upto`."""
        found: list[Block] = []
        until = min(upto, self.next_number + most)
        while self.next_number < until:
            taken = 0
            if not self._path(self._in).exists() and self._turn_over():
                continue  # it was read to its end and let go, and the writer was quicker to delete it
            for block, start, stop in self._walk(self._in, self._offset):
                if block.first >= (until if found else upto):  # the first one may stand behind damage
                    break
                if block.first > self.next_number:
                    self.positions.update(self.hole(self.next_number).behind)
                found.append(block)
                taken += 1
                self._stand(self._in, block.first, start, self.positions)
                self.positions[block.partition] = block.end
                self.next_number = block.first + block.count
                self._offset = stop
            if not taken and not self._turn_over() and not self._pass_over(upto):
                break
        return found

    def _turn_over(self) -> bool:
        """Go on in the file that begins where this one ends; False where there is none."""
        if self._in == self.next_number or not self._path(self.next_number).exists():
            return False
        return self._open(self.next_number)

    def _pass_over(self, upto: int) -> bool:
        """Go on in the next file there is, where this one's end is damaged: it was written to its end before that was
        begun. False where none is to be read yet."""
        later = [first for path in self._folder.glob("*.seq") if self._in < (first := int(path.stem)) <= upto]
        if not later:
            return False
        written = next(self._walk(self._in, self._offset), None) is not None  # since it was looked at
        return written or self._open(min(later))

    def _open(self, first: int) -> bool:
        header = self._header(first)
        if header is None:
            return False
        if first not in self._firsts:  # else it was there already when this one was opened
            self._firsts.append(first)
        self._in, self._offset, self.next_number = first, header.size, first
        return True

    def _forget(self) -> None:
        """Of the files that were read, those that the writer has deleted since."""
        while len(self._firsts) > 1 and not self._path(self._firsts[0]).exists():
            self._lose(self._firsts.pop(0))

    @property
    def first(self) -> int:
        """The lowest number it knows."""
        self._forget()
        return super().first

    def positions_of(self, number: int) -> dict[int, int]:
        """As the writer's."""
        self._forget()
        return super().positions_of(number)

    def blocks(self, number: int) -> Iterator[Block]:
        """As the writer's, up to where this process stands."""
        self._forget()
        for block in super().blocks(number):
            if block.first >= self.next_number:
                return
            yield block

    def sync(self) -> None:
        """Make all that it has read durable: a sync of a file is one for whoever writes it. The writer syncs a file
        before it begins another."""
        try:
            file = os.open(self._path(self._firsts[-1]), os.O_RDONLY)
        except FileNotFoundError:
            return  # all of it was let go by everyone, and the file deleted since
        try:
            os.fdatasync(file)
        finally:
            os.close(file)

    def close(self) -> None:
        """Nothing is open."""
