"""Events as JSON: one line each, for whatever reads lines."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

from asynctune.errors import ConfigurationError
from asynctune.events import Event
from asynctune.observers.base import Observer, Watched

__all__ = ["JSONLines", "as_path"]

_BLOCK = 1 << 16  # bytes that are read at once, from the end of the file


class JSONLines(Observer):
    """Writes one line of JSON for each event, as `Event.to_dict` has it; `Event.from_dict(json.loads(line))` is the event.

    The file goes on where it stands: whether the search ended well or was killed in the middle of a line, there is exactly one
    line for each event once it has been resumed and has ended. By its last line the file is known again.

    Args:
        path: of the file; made, with its directories, when it is not there. One that holds another search's events is refused
            when the search starts (logged, as everything is that an observer raises).

    Raises:
        ConfigurationError: `path` is no path.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = as_path("JSONLines", path)
        self._file: BinaryIO | None = None
        self._end = 0

    def on_start(self, search: Watched) -> int | None:
        """Cut off what is torn, and go on behind the last whole line."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as opened:
            file = opened.enter_context(self._path.open("ab+", buffering=0))
            self._end, line = _last_line(file)
            last = _event_of(line, self._path) if line else None
            if last is not None and not search.has(last):
                raise ConfigurationError(f"{self._path} holds the events of another search: use another file, or remove it")
            file.truncate(self._end)
            opened.pop_all()
        self._file = file
        return 1 if last is None else last["seq"] + 1

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


def as_path(who: str, path: object, of: str = "a file") -> Path:
    """The path that an observer was given: `of` a file, or of what it says.

    Raises:
        ConfigurationError: it is none.
    """
    if not isinstance(path, str | Path) or not str(path) or "\0" in str(path):
        raise ConfigurationError(f"{who}(...) takes the path of {of}, not {path!r}")
    return Path(path).expanduser().absolute()


def _last_line(file: BinaryIO) -> tuple[int, bytes]:
    """Where the last whole line ends, and the line."""
    start, tail = file.seek(0, os.SEEK_END), b""
    while start > 0 and tail.count(b"\n") < 2:
        step = min(_BLOCK, start)
        start = file.seek(start - step)
        tail = file.read(step) + tail
    whole = tail[: tail.rfind(b"\n") + 1]
    return start + len(whole), whole.rstrip(b"\n").rpartition(b"\n")[2]


def _event_of(line: bytes, path: Path) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except ValueError:
        event = None
    if not isinstance(event, dict) or type(event.get("seq")) is not int:
        raise ConfigurationError(f"{path} is not a file of events: use another one")
    return event
