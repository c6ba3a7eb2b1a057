"""The parcel: what a search sends to its zygote, in one sealed memory file.

It holds the `Work`, the pickled trainable and the pickled data. Large buffers (arrays, Arrow columns) lie beside the pickles,
not in them (pickle protocol 5), and are mapped copy-on-write: nobody copies them, a runner may write to them, and neither the
zygote nor another runner sees it.

A parcel travels from parent to child only, on a descriptor that the child inherits. It is the one thing that is ever unpickled.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import pickle
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgpack

from asynctune._runner.orders import Work
from asynctune.wire import decode, encode

__all__ = ["Parcel", "write_parcel"]

_TAIL = struct.Struct(">QQ")
_PAGE = mmap.PAGESIZE
_CHUNK = 16 * 1024 * 1024

# A mapping that is freed closes the number of its descriptor, which by then may be another file's. So none is ever freed.
_mappings: list[mmap.mmap] = []


def write_parcel(work: Work, pickles: Mapping[str, Sequence[Any]], go_on: Callable[[], bool]) -> int:
    """Write a parcel and return its descriptor, which is the caller's to close.

    Args:
        work: goes first.
        pickles: by name, a pickle and then its out-of-band buffers.
        go_on: asked now and then; when it says no, `InterruptedError` is raised and nothing is left behind.
    """
    descriptor = os.memfd_create("asynctune-parcel", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        index: dict[str, list[tuple[int, int]]] = {}
        position = 0
        for name, sections in {"work": [encode(work, Work)], **pickles}.items():
            index[name] = []
            for section in sections:
                with memoryview(section) as view, view.cast("B") as raw:
                    # Whole pages, so that writing to one array copies nothing of its neighbours.
                    position += -position % (_PAGE if len(raw) >= _PAGE else 64)
                    _write(descriptor, raw, position, go_on)
                    index[name].append((position, len(raw)))
                    position += len(raw)
        packed = msgpack.packb(index)
        _write(descriptor, memoryview(packed + _TAIL.pack(position, len(packed))), position, go_on)
        seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _write(descriptor: int, data: memoryview, position: int, go_on: Callable[[], bool]) -> None:
    written = 0
    while written < len(data):
        if not go_on():
            raise InterruptedError("no longer wanted")
        written += os.pwrite(descriptor, data[written : written + _CHUNK], position + written)


class Parcel:
    """A parcel that was received. Reading `work` costs nothing; `load` runs whatever the pickle runs.

    Args:
        descriptor: of the memory file; not closed, and not needed once this object exists.
    """

    def __init__(self, descriptor: int) -> None:
        mapping = mmap.mmap(
            descriptor,
            os.fstat(descriptor).st_size,
            flags=mmap.MAP_PRIVATE,
            prot=mmap.PROT_READ | mmap.PROT_WRITE,
        )
        _mappings.append(mapping)
        self._view = memoryview(mapping)
        position, length = _TAIL.unpack(self._view[-_TAIL.size :])
        self._index: dict[str, list[tuple[int, int]]] = msgpack.unpackb(self._view[position : position + length])
        self.work: Work = decode(bytes(self._section("work", 0)), Work)

    def __repr__(self) -> str:
        return f"<Parcel of {len(self._view)} bytes: {', '.join(self._index)}>"

    def __contains__(self, name: object) -> bool:
        return name in self._index

    def load(self, name: str) -> Any:
        """The object that was pickled under this name; its arrays lie in the mapping."""
        count = len(self._index[name])
        buffers = [self._section(name, index) for index in range(1, count)]
        return pickle.loads(self._section(name, 0), buffers=buffers)  # noqa: S301 -- our parent's, see above

    def _section(self, name: str, index: int) -> memoryview:
        start, length = self._index[name][index]
        return self._view[start : start + length]
