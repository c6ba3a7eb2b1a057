"""The head mark: the number and chain hash of the last acknowledged record, beside the database.

SQLite alone cannot tell a journal that lost its end (a restored copy, a lost write-ahead log) from one that never had it. The
mark can. It has two places that are written in turn, each with a checksum, so that a torn write leaves the one before.
"""

from __future__ import annotations

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

    def write(self, seq: int, chain: bytes) -> None:
        """Record `seq` was committed."""
        body = struct.pack(">Q16s", seq, chain)
        os.pwrite(self._descriptor, _PLACE.pack(seq, chain, zlib.crc32(body)), (seq % 2) * _PLACE.size)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def read_head(directory: Path) -> tuple[int, bytes] | None:
    """The number and chain hash of the last acknowledged record; None when there is no mark."""
    try:
        data = (directory / HEAD_NAME).read_bytes()
    except FileNotFoundError:
        return None
    marks = []
    for start in (0, _PLACE.size):
        place = data[start : start + _PLACE.size]
        if len(place) == _PLACE.size:
            seq, chain, checksum = _PLACE.unpack(place)
            if zlib.crc32(place[:-4]) == checksum and seq:
                marks.append((seq, chain))
    return max(marks, default=None)
