"""Events as JSON: one line each, for whatever reads lines."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from asynctune.errors import ConfigurationError, WireError
from asynctune.events import Event
from asynctune.observers.base import Observer, Watched
from asynctune.observers.places import as_path, check_file

__all__ = ["JSONLines"]

_BEGINNING = b'{"seq": '  # of every line
_BLOCK = 1 << 16  # bytes that are read at once, from the end of the file


class JSONLines(Observer):
    """Writes one line of JSON for each event, as `Event.to_dict` has it; `Event.from_dict(json.loads(line))` is the event.

    The file goes on where it stands: whether the search ended well or was killed in the middle of a line, there is exactly one
    line for each event once it has been resumed and has ended. By its last line the file is known again.

    Args:
        path: of the file; made, with its directories, when it is not there. One that holds anything but this search's events is
            left alone, and the search is not opened.

    Raises:
        ConfigurationError: `path` is no path.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = as_path("JSONLines", path)
        self._file: BinaryIO | None = None
        self._end = 0

    def check(self, search: Watched) -> None:
        """Whether the file can be written, and holds this search's events or none."""
        with check_file("JSONLines", self._path) as found:
            if found:
                with self._path.open("rb") as file:
                    self._whole(file, search)

    def on_start(self, search: Watched) -> int | None:
        """Cut off what is torn, and go on behind the last whole line."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as opened:
            file = opened.enter_context(self._path.open("ab+", buffering=0))
            self._end, last = self._whole(file, search)
            file.truncate(self._end)
            opened.pop_all()
        self._file = file
        return last + 1

    def _whole(self, file: BinaryIO, search: Watched) -> tuple[int, int]:
        """Where the last whole line ends, and the number of its event."""
        end, line, torn = _last_line(file)
        try:
            last = Event.from_dict(json.loads(line)) if line else None
        except (ValueError, WireError):
            last = None
        if (line and last is None) or not _is_beginning(torn):
            raise ConfigurationError(f"{self._path} is not a file of events: use another file, or remove this one")
        if (torn and not search.resumed) or (last is not None and not search.has(last.to_dict())):
            raise ConfigurationError(f"{self._path} holds the events of another search: use another file, or remove this one")
        return end, 0 if last is None else last.seq

    def on_events(self, events: Sequence[Event], search: Watched) -> None:
        """Write them, all or none."""
        if self._file is None:
            return
        data = "".join(f"{json.dumps(event.to_dict())}\n" for event in events).encode()
        try:
            written = 0
            while written < len(data):
                written += self._file.write(data[written:])
        except BaseException:
            self._file.truncate(self._end)  # they are given again, and would stand there twice
            raise
        self._end += len(data)

    def on_end(self, search: Watched) -> None:
        """Close the file, once it is on the disk."""
        if self._file is not None:
            with self._file:
                os.fsync(self._file.fileno())


def _last_line(file: BinaryIO) -> tuple[int, bytes, bytes]:
    """Where the last whole line ends, the line, and what stands behind it."""
    start, tail = file.seek(0, os.SEEK_END), b""
    while start > 0 and tail.count(b"\n") < 2:
        step = min(_BLOCK, start)
        start = file.seek(start - step)
        tail = file.read(step) + tail
    whole, torn = tail[: (end := tail.rfind(b"\n") + 1)], tail[end:]
    return start + len(whole), whole.rstrip(b"\n").rpartition(b"\n")[2], torn


def _is_beginning(torn: bytes) -> bool:
    return torn.startswith(_BEGINNING) or _BEGINNING.startswith(torn)
