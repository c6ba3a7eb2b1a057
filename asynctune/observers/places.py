"""Where observers write. What cannot work is said before the search is opened, and what is there already is left alone."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from asynctune.errors import ConfigurationError

__all__ = ["as_path", "check_directory", "check_file"]


def as_path(who: str, path: object, of: str = "a file") -> Path:
    """The path that an observer was given: `of` a file, or of what it says.

    Raises:
        ConfigurationError: it is none.
    """
    if not isinstance(path, str | Path) or not str(path) or "\0" in str(path):
        raise ConfigurationError(f"{who}(...) takes the path of {of}, not {path!r}")
    try:
        return Path(path).expanduser().absolute()
    except (RuntimeError, OSError) as error:  # nobody has this home; or the working directory was removed
        raise ConfigurationError(f"{who}({str(path)!r}): {error}") from error


@contextmanager
def check_file(who: str, path: Path) -> Iterator[bool]:
    """Whether a file can be written at `path`: a regular one that is there, by whatever links, or a new one.

    The directories of a new one may be missing: they can be made. Entered, it is whether there is one; that it can be read is
    for the block to find out.

    Raises:
        ConfigurationError: it cannot; or the block raised OSError.
    """
    with _writable(who, path):
        found = _found(path)
        if found is None:
            _try_below(path)
        elif not stat.S_ISREG(found.st_mode):
            kind = "a directory" if stat.S_ISDIR(found.st_mode) else "no regular file, but a pipe, a socket or a device"
            raise ConfigurationError(f"{who} writes a file, and {path} is {kind}: name a file")
        else:
            os.close(os.open(path, os.O_WRONLY | os.O_CLOEXEC))
        yield found is not None


def check_directory(who: str, path: Path) -> None:
    """Whether files can be made in the directory `path`, which is made, with those above it, when it is not there.

    Raises:
        ConfigurationError: they cannot.
    """
    with _writable(who, path):
        found = _found(path)
        if found is not None and not stat.S_ISDIR(found.st_mode):
            raise ConfigurationError(f"{who} writes into a directory, and {path} is none: name a directory")
        _try_below(path / "file")


@contextmanager
def _writable(who: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = f"{who} cannot write {path}: {error.strerror or error}"
        raise ConfigurationError(f"{message}. Name a place that can be written.") from error


def _found(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _try_below(path: Path) -> None:
    """Have a file in the directory where `path`, or what is missing above it, would be made, for a moment, and without a name.

    Tried, not asked: what is permitted (anything, to root) is not always possible.
    """
    above = Path(os.path.realpath(path)).parent  # of a link that leads nowhere, what it leads to is made
    while _found(above) is None:
        above = above.parent
    tempfile.TemporaryFile(dir=above).close()
