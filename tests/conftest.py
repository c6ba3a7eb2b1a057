"""What all tests share: how Hypothesis speaks, and nothing that brings anyio, for tests/machine run without it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import settings

from asynctune._engine.journal import Journal
from asynctune._engine.points import Point, listening
from asynctune._engine.record import Record
from asynctune.errors import JournalError, StorageError
from asynctune.testing.history import check_history

# The contracts are tests that live in the package; so that their assertions say as much as ours.
pytest.register_assert_rewrite("asynctune.testing.contracts")

# No deadline: how long an example takes says more about the machine's other users than about us. The blob makes a failure
# repeatable from its printed output alone.
settings.register_profile("asynctune", deadline=None, print_blob=True)
settings.register_profile("many", parent=settings.get_profile("asynctune"), max_examples=1000)  # `nox -s many`
settings.load_profile("asynctune")


@pytest.fixture(scope="session", autouse=True)
def _own_temporary_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    # What a test leaves in it is counted. The system's is everybody's: another search on this machine would be taken for ours.
    system, tempfile.tempdir = tempfile.tempdir, str(tmp_path_factory.mktemp("own"))
    yield
    tempfile.tempdir = system


@pytest.fixture(autouse=True)
def _every_history_holds() -> Iterator[None]:
    """What the searches of a test had recorded when they closed their journals is checked when the test is over."""
    histories: list[list[Record]] = []

    def look(point: Point, journal: Journal) -> None:
        if point is Point.CLOSING:
            with suppress(JournalError, StorageError, sqlite3.Error):  # the test has made it unreadable, and says what follows
                histories.append(list(journal.records()))

    with listening(look):
        yield
    for records in histories:
        check_history(records)


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 4 MiB, all to itself; skips where none can be mounted."""
    # Not below pytest's own directory: what cannot be removed there is in the way of everybody's next run.
    where = tempfile.mkdtemp(prefix="asynctune-small-disk-")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", where], check=False, capture_output=True, text=True
    )
    try:
        if mounted.returncode != 0:
            pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
        yield Path(where)
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", "--lazy", where], check=True)
        os.rmdir(where)
