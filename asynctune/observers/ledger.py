"""Appends to many files, each thing once: what it was about to do is written down before it is done."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import frozen

__all__ = ["Ledger", "Page"]


@frozen
class Page:
    """What is in the files.

    Attributes:
        last: the last event that is in them, as `Event.to_dict` has it; None if none is.
        lengths: the lengths, in bytes, that some of them had then, if more was being written.
    """

    last: Mapping[str, Any] | None
    lengths: Mapping[str, int]

    @property
    def seq(self) -> int:
        """The number of the last event; 0 if there is none."""
        number: int = self.last["seq"] if self.last is not None else 0
        return number


class Ledger:
    """The files below a directory. A batch of events is in all of them or in none, whenever the process is killed: `open` sees
    to it.

    That is not promised when the machine loses its power: what the system had not written yet is gone then, and may be missing
    in files that the ledger says are whole. (To wait for the disk would be a wait for each file of each batch.)

    Args:
        directory: where the files are.
        name: of the file beside them in which it is written down how far they are.
        files: what their names look like, with `/`. A ledger may come from anywhere: if it names others, it is none.
    """

    def __init__(self, directory: Path, name: str, files: re.Pattern[str]) -> None:
        self._directory, self._path, self._files = directory, directory / name, files
        self._last: Mapping[str, Any] | None = None

    def read(self) -> Page | None:
        """What is written down; None if nothing is. Changes nothing."""
        try:
            said = json.loads(self._path.read_bytes())
            page = Page(said["last"], dict(said["lengths"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        event_is_one = page.last is None or (isinstance(page.last, dict) and _is_number(page.last.get("seq"), least=1))
        lengths_are = all(self._files.fullmatch(name) and _is_number(length) for name, length in page.lengths.items())
        return page if event_is_one and lengths_are else None

    def open(self) -> Page | None:
        """Cut off what belongs to an unfinished batch.

        Returns:
            How far the files are; None if nothing says so, or they have lost something.
        """
        page = self.read()
        if page is None:
            return None
        for name, length in page.lengths.items():
            path = self._directory / name
            found = path.stat().st_size if path.exists() else 0
            if found < length:
                return None
            if not length:
                path.unlink(missing_ok=True)
                if path.parent != self._directory:
                    with suppress(OSError):  # somebody keeps something else there
                        path.parent.rmdir()
            elif found > length:
                os.truncate(path, length)
        return self._turn(page.last, {})

    def clear(self, names: Iterable[str]) -> None:
        """Remove these files, which are all that there are. If that is cut off, `open` removes what is left."""
        self._turn(None, dict.fromkeys(names, 0))
        self.open()

    def append(self, parts: Mapping[str, bytes | bytearray], last: Mapping[str, Any]) -> None:
        """Append to each file, by its name; they will have the events up to this one.

        Raises:
            OSError: not all was written; `open` undoes what was.
        """
        paths = {name: self._directory / name for name in parts}
        for path in paths.values():
            path.parent.mkdir(parents=True, exist_ok=True)
        self._turn(self._last, {name: path.stat().st_size if path.exists() else 0 for name, path in paths.items()})
        for name, path in paths.items():
            # Each is closed at once: a search may have thousands of trials under way.
            with path.open("ab", buffering=0) as file:
                data = memoryview(parts[name])
                while data:
                    data = data[file.write(data) :]
        self._turn(last, {})

    def _turn(self, last: Mapping[str, Any] | None, lengths: Mapping[str, int]) -> Page:
        """Write a page, and throw the one before away."""
        new = self._path.with_name(f"{self._path.name}.new")
        new.write_text(json.dumps({"last": last, "lengths": lengths}))
        new.replace(self._path)
        self._last = last
        return Page(last, lengths)


def _is_number(said: object, *, least: int = 0) -> bool:
    return type(said) is int and said >= least
