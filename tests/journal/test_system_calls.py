"""The disk says no, once, at every call that writes, flushes or renames: what was acknowledged is there, and goes on.

The kernel is made to say so by strace, for SQLite's own calls, too: n = 1, 2, 3, ... until no call is left to fail.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from itertools import count
from pathlib import Path

import pytest
from attrs import frozen

from asynctune._engine.database import JOURNAL_NAME, beside
from asynctune._engine.head import HEAD_NAME
from asynctune._engine.journal import read_records
from asynctune.checkpoints import DirectoryStore
from asynctune.records import CheckpointKey
from tests.house.source import ROOT
from tests.journal.written import marks, read, records_of

pytestmark = pytest.mark.process

RECORDS = records_of(3)[:40]
MARKS = marks(RECORDS)
CALLS = {
    "write": "write,pwrite64,writev,pwritev,ftruncate",
    "flush": "fsync,fdatasync",
    "rename": "rename,renameat,renameat2",
}
ERRORS = ["ENOSPC", "EIO"]


@cache
def why_not() -> str | None:
    """What keeps strace from changing what a call answers here."""
    try:
        command = ["strace", "-f", "-e", "inject=getcwd:error=ENOSPC:when=1", "-o", "/dev/null", "true"]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    except OSError as error:
        return f"strace: {error.strerror}"
    return done.stderr.strip() or "strace fails" if done.returncode else None


@frozen
class Fault:
    """The n-th call of a kind fails."""

    call: str
    error: str
    n: int

    def strike(self, program: str, directory: Path, paths: Sequence[Path] = ()) -> tuple[list[str], bool]:
        """Run a program on a directory; what it prints, and whether there was an n-th call, on these files if any are named."""
        if (reason := why_not()) is not None:
            pytest.skip(f"no system call can be made to fail here: {reason}")
        log, calls = directory.with_name("strace.log"), CALLS[self.call]
        command = ["strace", "-f", "-qq", "-o", str(log), "-e", f"trace={calls}"]
        command += ["-e", f"inject={calls}:error={self.error}:when={self.n}", *(f"--trace-path={path}" for path in paths)]
        command += [sys.executable, "-c", program, str(directory)]
        done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=120)
        assert done.returncode in (0, 3), done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout.splitlines(), "(INJECTED)" in log.read_text()


# --------------------------------------------------------------------------------------------------------------- journal

WRITES = """
import sys
from pathlib import Path
from asynctune._engine.journal import DiskJournal
from asynctune.errors import JournalError, StorageError
from tests.journal.written import batches, records_of
groups = batches(records_of(3)[:40], 8)
try:
    journal = DiskJournal(Path(sys.argv[1]))
except StorageError as error:
    print("refused", error)
    sys.exit(3)
list(journal.records())
for group, trials in groups:
    for _ in range(3):
        try:
            journal.append(group, trials)
        except JournalError as error:
            print("failed", error.errno, error)
        else:
            print("told", group[-1].seq)
            break
    else:
        sys.exit(3)
journal.close()
"""


def write_failing(directory: Path, fault: Fault) -> bool:
    """Whether there was an n-th call to fail; if so, nothing that anybody was told is lost."""
    directory.mkdir()
    search = directory / "search"
    path = search / JOURNAL_NAME
    files = [search, path, *beside(path, "wal", "journal"), search / HEAD_NAME]
    lines, failed = fault.strike(WRITES, search, files)
    told = max((int(line.split()[1]) for line in lines if line.startswith("told")), default=0)
    if told:
        found = marks(read_records(search))
        assert len(found) >= told, lines
        assert found == MARKS[: len(found)]
    again = read(search)
    assert len(again) >= told, lines
    assert again == MARKS[: len(again)]
    if not failed:
        assert lines == [f"told {seq}" for seq in range(8, 41, 8)]
    return failed


@pytest.mark.fault(13)
@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize(("call", "numbers"), [("write", (1, 7, 40)), ("flush", (1, 4))])
def test_a_call_of_the_journal_fails(tmp_path: Path, call: str, error: str, numbers: tuple[int, ...]) -> None:
    for n in numbers:
        assert write_failing(tmp_path / str(n), Fault(call, error, n)), f"there is no call {n}"


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.fault(13)
@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("call", ["write", "flush"])
def test_each_call_of_the_journal_fails(tmp_path: Path, call: str, error: str) -> None:
    last = next(n for n in count(1) if not write_failing(tmp_path / str(n), Fault(call, error, n)))
    print(f"{last - 1} calls")
    assert last > 5


# ----------------------------------------------------------------------------------------------------------- checkpoints

SAVES = """
import sys
from pathlib import Path
from asynctune.checkpoints import DirectoryStore
from asynctune.errors import StorageError
from asynctune.records import CheckpointKey
store = DirectoryStore(Path(sys.argv[1]))
for step in (1, 2, 3):
    try:
        with store.writing(CheckpointKey(0, step, 1)) as path:
            (path / "weights").write_bytes(bytes([step]) * 5000)
    except (StorageError, OSError) as error:
        print("failed", step, error)
    else:
        print("kept", step)
"""


def save_failing(directory: Path, fault: Fault) -> bool:
    """Whether there was an n-th call to fail; if so, every checkpoint is whole or not there, and those that were kept are."""
    directory.mkdir()
    root = directory / "checkpoints"
    lines, failed = fault.strike(SAVES, root)
    kept = {int(line.split()[1]) for line in lines if line.startswith("kept")}
    store = DirectoryStore(root)
    found = store.keys()
    there = {key.step for key in found}
    assert kept <= there, lines
    for step in there:
        assert (store.path(CheckpointKey(0, step, 1)) / "weights").read_bytes() == bytes([step]) * 5000
    store.sweep([CheckpointKey(0, step, 1) for step in kept])
    assert store.keys() == [CheckpointKey(0, step, 1) for step in sorted(kept)]
    assert sorted(path.name for path in root.rglob("*") if path.name.startswith(".")) == []
    if not failed:
        assert kept == {1, 2, 3}
    return failed


@pytest.mark.fault(14)
@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize(("call", "numbers"), [("flush", (1, 3)), ("rename", (1, 2))])
def test_a_call_of_a_checkpoint_fails(tmp_path: Path, call: str, error: str, numbers: tuple[int, ...]) -> None:
    for n in numbers:
        assert save_failing(tmp_path / str(n), Fault(call, error, n)), f"there is no call {n}"


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.fault(14)
@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("call", ["flush", "rename"])
def test_each_call_of_a_checkpoint_fails(tmp_path: Path, call: str, error: str) -> None:
    last = next(n for n in count(1) if not save_failing(tmp_path / str(n), Fault(call, error, n)))
    print(f"{last - 1} calls")
    assert last > 3
