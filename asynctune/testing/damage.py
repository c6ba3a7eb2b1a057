"""Damage to a file that is undone again: what keeps files can be tried with each in turn.

`for length in range(size): with cut(path, length): ...`: whatever reads the file then must find it whole, or say what is wrong.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["cut", "flipped"]


@contextmanager
def cut(path: Path, length: int) -> Iterator[None]:
    """The file has only its first `length` bytes while the block runs: a torn write, or a copy that was broken off.

    Raises:
        ValueError: it is not longer than that.
        OSError: it cannot be written.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        size = os.fstat(descriptor).st_size
        if not 0 <= length < size:
            raise ValueError(f"{path} has {size} bytes, and cannot be cut to {length}")
        rest = os.pread(descriptor, size - length, length)
        os.ftruncate(descriptor, length)
        try:
            yield
        finally:
            _put(descriptor, rest, length)
    finally:
        os.close(descriptor)


@contextmanager
def flipped(path: Path, byte: int, bit: int) -> Iterator[None]:
    """One bit of the file is the other while the block runs: what a disk, a cable or a memory does now and then.

    Args:
        byte: its place in the file, from 0. bit: 0 (the lowest) to 7.

    Raises:
        ValueError: there is no such bit.
        OSError: it cannot be written.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        before = os.pread(descriptor, 1, byte) if byte >= 0 else b""
        if not before or bit not in range(8):
            raise ValueError(f"{path} has {os.fstat(descriptor).st_size} bytes of 8 bits, and so no bit {bit} of byte {byte}")
        _put(descriptor, bytes([before[0] ^ 1 << bit]), byte)
        try:
            yield
        finally:
            _put(descriptor, before, byte)
    finally:
        os.close(descriptor)


def _put(descriptor: int, data: bytes, at: int) -> None:
    while data:
        written = os.pwrite(descriptor, data, at)
        data, at = data[written:], at + written
