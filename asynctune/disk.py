"""What is flushed is there after a power loss."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["flush"]


def flush(path: str | Path) -> None:
    """Have a file, or the names in a directory, on the disk.

    Raises:
        OSError: it cannot be opened, or is not there now.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
