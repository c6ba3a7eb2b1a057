"""Appends to many files, each thing once: what it was about to do is written down before it is done."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

__all__ = ["Ledger"]


@frozen
class _Page:
    """The last event that is in the files; and the lengths, in bytes, that some of them had then, if more was being written."""

    seq: int
    lengths: Mapping[str, int]

    @classmethod
    def read(cls, path: Path) -> _Page | None:
        """What stands in the file; None if that is no page."""
        try:
            said = json.loads(path.read_bytes())
            page = cls(said["seq"], dict(said["lengths"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        numbers = [page.seq, *page.lengths.values()]
        return page if all(type(number) is int and number >= 0 for number in numbers) else None

    def write(self, path: Path) -> None:
        new = path.with_name(f"{path.name}.new")
        new.write_text(json.dumps({"seq": self.seq, "lengths": self.lengths}))
        new.replace(path)


class Ledger:
    """The files below a directory. A batch of events is in all of them or in none, whenever the process is killed: `open` sees
    to it. (A power failure can take what the system had not written yet: then `open` says so.)

    Args:
        directory: where the files are.
        name: of the file beside them in which it is written down how far they are.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self._directory, self._path = directory, directory / name

    def open(self) -> int | None:
        """Cut off what belongs to an unfinished batch.

        Returns:
            The number of the last event that is in the files; None if nothing says so, or they have lost something.
        """
        page = _Page.read(self._path)
        if page is None:
            return None
        for name, length in page.lengths.items():
            path = self._directory / name
            found = path.stat().st_size if path.exists() else 0
            if found < length:
                return None
            if not length:
                path.unlink(missing_ok=True)
            elif found > length:
                os.truncate(path, length)
        _Page(page.seq, {}).write(self._path)
        return page.seq

    def append(self, parts: Mapping[str, bytes | bytearray], before: int, last: int) -> None:
        """Append to each file, by its name; they have the events up to number `before`, and will have those up to `last`.

        Raises:
            OSError: not all was written; `open` undoes what was.
        """
        paths = {name: self._directory / name for name in parts}
        for path in paths.values():
            path.parent.mkdir(parents=True, exist_ok=True)
        _Page(before, {name: path.stat().st_size if path.exists() else 0 for name, path in paths.items()}).write(self._path)
        for name, path in paths.items():
            # Each is closed at once: a search may have thousands of trials under way.
            with path.open("ab", buffering=0) as file:
                data = memoryview(parts[name])
                while data:
                    data = data[file.write(data) :]
        _Page(last, {}).write(self._path)
