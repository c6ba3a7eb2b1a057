"""The head mark: the number and chain hash of the last acknowledged record, beside the database.

SQLite alone cannot tell a journal that lost its end (a restored copy, a lost write-ahead log) from one that never had it. The
mark can. It has two places that are written in turn, each with a checksum, so that a torn write leaves the one before.
"""

from __future__ import annotations

import errno
import os
import struct
import zlib
from pathlib import Path

__all__ = ["HEAD_NAME", "HeadMark", "read_head"]

HEAD_NAME = "journal.head"
_PLACE = struct.Struct(">Q16sI")


class HeadMark:
    """The mark of the search in `directory`, open for writing."""

    def __init__(self, directory: Path) -> None:
        self._descriptor = os.open(directory / HEAD_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        first, second = _places(os.pread(self._descriptor, 2 * _PLACE.size, 0))
        self._next = 0 if first is None or (second is not None and first < second) else 1

    def write(self, seq: int, chain: bytes) -> None:
        """Record `seq` was committed.

        Raises:
            OSError: the mark is the one before.
        """
        body = struct.pack(">Q16s", seq, chain)
        place, at = _PLACE.pack(seq, chain, zlib.crc32(body)), self._next * _PLACE.size
        while place:
            written = os.pwrite(self._descriptor, place, at)
            if not written:
                raise OSError(errno.EIO, "nothing was written")
            place, at = place[written:], at + written
        self._next = 1 - self._next

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def read_head(directory: Path) -> tuple[int, bytes] | None:
    """The number and chain hash of the last acknowledged record; None when there is no mark."""
    try:
        data = (directory / HEAD_NAME).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return max((mark for mark in _places(data) if mark is not None), default=None)


def _places(data: bytes) -> list[tuple[int, bytes] | None]:
    return [_mark(data[start : start + _PLACE.size]) for start in (0, _PLACE.size)]


def _mark(place: bytes) -> tuple[int, bytes] | None:
    if len(place) != _PLACE.size:
        return None
    seq, chain, checksum = _PLACE.unpack(place)
    return (seq, chain) if seq and zlib.crc32(place[:-4]) == checksum else None
