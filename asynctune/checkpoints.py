"""What a trial leaves behind: directories, found by their keys, that are whole or not there.

A store keeps what it is given and deletes what it is told to; which checkpoints count is written in the journal, and nowhere
here. Keys travel, paths do not: a store in another place answers to the same keys.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from attrs import astuple

from asynctune.disk import flush
from asynctune.errors import StorageError
from asynctune.records import CheckpointKey

__all__ = ["CheckpointStore", "DirectoryStore"]


class CheckpointStore(Protocol):
    """Where the checkpoints of a search are. Used by the search and, in other processes, by its trials."""

    def writing(self, key: CheckpointKey) -> AbstractContextManager[Path]:
        """An empty directory to fill. When the block ends, the checkpoint exists, durably; if it raises, it does not."""

    def path(self, key: CheckpointKey) -> Path:
        """A directory with the checkpoint, to be read."""

    def exists(self, key: CheckpointKey) -> bool:
        """Whether the checkpoint can be read."""

    def size(self, key: CheckpointKey) -> int:
        """What the files of the checkpoint hold, in bytes."""

    def delete(self, key: CheckpointKey) -> None:
        """Delete the checkpoint, if it exists."""

    def keys(self) -> list[CheckpointKey]:
        """The checkpoints that exist, by trial, step and launch."""

    def sweep(self, keep: Collection[CheckpointKey]) -> list[CheckpointKey]:
        """Delete every checkpoint that is not in `keep`, and whatever unfinished writing left. While nothing is written.

        Returns:
            The checkpoints that were deleted.
        """


class DirectoryStore:
    """Checkpoints as directories of a local file system: `<root>/<trial>/<step>-<launch>`.

    Several processes may use the same root at the same time; only `sweep` wants it to itself. Symbolic links in the place of
    the store's own directories are not followed, and entries that are not the store's are left alone.

    Args:
        root: made when it is first needed.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @contextmanager
    def writing(self, key: CheckpointKey) -> Iterator[Path]:
        """An empty directory to fill. When the block ends, its files are flushed to the disk and it takes its place, at once.

        If the block raises, the directory is removed and the error goes on. A checkpoint that has this key already is replaced.
        For that it is moved aside first: a machine that crashes in this moment keeps neither.

        Raises:
            StorageError: if the disk refuses.
        """
        final = self._place(key)
        refused = f"{_name(key)} cannot be written to {self.root}"
        with _told(refused):
            if final.parent.is_symlink():
                raise StorageError(f"{refused}: {final.parent} is a symbolic link, which is not followed")
            _make(final.parent)
            unfinished = Path(tempfile.mkdtemp(prefix=_WRITING, dir=final.parent))
        try:
            yield unfinished
            with _told(refused):
                _flush(unfinished)
                replaced = _aside(final)
                try:
                    unfinished.rename(final)
                except OSError:
                    if replaced is not None:
                        replaced.rename(final)
                    raise
                flush(final.parent)
        except BaseException:
            _remove(unfinished)
            raise
        if replaced is not None:
            _remove(replaced)

    def path(self, key: CheckpointKey) -> Path:
        """The directory of the checkpoint. It is the store's: read it, change nothing in it.

        Raises:
            StorageError: if it does not exist.
        """
        final = self._place(key)
        if not self.exists(key):
            raise StorageError(f"{_name(key)} is not in {self.root}: it was deleted, or was never finished")
        return final

    def exists(self, key: CheckpointKey) -> bool:
        """Whether the checkpoint is there, whole."""
        final = self._place(key)
        return _is_directory(final.parent) and _is_directory(final)

    def size(self, key: CheckpointKey) -> int:
        """What the files of the checkpoint hold, in bytes; links are not followed.

        Raises:
            StorageError: if it does not exist, or the disk refuses.
        """
        with _told(f"{_name(key)} cannot be measured"):
            files = (Path(folder, name) for folder, _, names in os.walk(self.path(key)) for name in names)
            return sum(path.lstat().st_size for path in files)

    def delete(self, key: CheckpointKey) -> None:
        """Delete the checkpoint, if it exists. It is gone at once, and never half there.

        Raises:
            StorageError: if the disk refuses.
        """
        if not self.exists(key):
            return
        with _told(f"{_name(key)} cannot be deleted from {self.root}"):
            deleted = _aside(self._place(key))
        if deleted is not None:
            _remove(deleted)

    def keys(self) -> list[CheckpointKey]:
        """The checkpoints that exist, by trial, step and launch.

        Raises:
            StorageError: if the disk refuses.
        """
        found = [
            CheckpointKey(int(trial.name), int(match[1]), int(match[2]))
            for trial in self._trials()
            for entry in _entries(trial)
            if (match := _CHECKPOINT.fullmatch(entry.name))
        ]
        return sorted(found, key=astuple)

    def sweep(self, keep: Collection[CheckpointKey]) -> list[CheckpointKey]:
        """Delete every checkpoint that is not in `keep`, and what writing and deleting left when they were cut off.

        Returns:
            The checkpoints that were deleted.

        Raises:
            StorageError: if the disk refuses.
        """
        kept = frozenset(keep)
        swept = [key for key in self.keys() if key not in kept]
        for key in swept:
            self.delete(key)
        for trial in self._trials():
            for entry in _entries(trial):
                if _LEFT_OVER.fullmatch(entry.name):
                    _remove(entry)
            with suppress(OSError):
                trial.rmdir()  # it stays if anything is in it
        return swept

    def _place(self, key: CheckpointKey) -> Path:
        if not (key.trial >= 0 and key.step >= 0 and key.launch >= 1):
            raise StorageError(f"{key} names no checkpoint: trials and steps count from 0, launches from 1")
        return self.root / str(key.trial) / f"{key.step}-{key.launch}"

    def _trials(self) -> list[Path]:
        return [entry for entry in _entries(self.root) if _NUMBER.fullmatch(entry.name)]


_logger = logging.getLogger("asynctune.checkpoints")

_WRITING, _DELETED = ".writing-", ".deleted-"
_LEFT_OVER = re.compile(rf"({re.escape(_WRITING)}|{re.escape(_DELETED)})[a-z0-9_]{{8}}")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")
_CHECKPOINT = re.compile(r"(0|[1-9][0-9]{0,18})-([1-9][0-9]{0,18})")


def _name(key: CheckpointKey) -> str:
    return f"the checkpoint of trial {key.trial} after step {key.step} (launch {key.launch})"


@contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"{what}: {error}") from error


def _is_directory(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _entries(directory: Path) -> list[Path]:
    with _told(f"{directory} cannot be read"):
        return [entry for entry in directory.iterdir() if _is_directory(entry)] if directory.is_dir() else []


def _make(directory: Path) -> None:
    if not directory.is_dir():
        _make(directory.parent)
        directory.mkdir(exist_ok=True)
        flush(directory.parent)


def _aside(directory: Path) -> Path | None:
    """Give up the name of a directory, durably, and keep what it held under another; None if there is no such directory."""
    aside = Path(tempfile.mkdtemp(prefix=_DELETED, dir=directory.parent))
    try:
        directory.rename(aside)
    except OSError as error:
        aside.rmdir()
        if isinstance(error, FileNotFoundError):
            return None
        raise
    flush(directory.parent)
    return aside


def _remove(directory: Path) -> None:
    try:
        shutil.rmtree(directory)
    except FileNotFoundError:
        pass
    except OSError as error:
        _logger.warning("%s could not be removed and takes up space: %s", directory, error)


def _flush(directory: Path) -> None:
    def refuse(error: OSError) -> None:
        raise error

    for folder, _, names in os.walk(directory, topdown=False, onerror=refuse):
        for path in (Path(folder, name) for name in names):
            if stat.S_ISREG(path.lstat().st_mode):  # to open a pipe would wait, and a link leads elsewhere
                flush(path)
        flush(folder)
