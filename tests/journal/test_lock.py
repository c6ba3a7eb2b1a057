"""One process writes a search: the second is told who does; and the lock dies with its holder, and with nobody else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from asynctune._engine.lock import SearchLock, holder
from asynctune.errors import SearchLockedError

HOLD = """
import sys
from pathlib import Path
from asynctune._engine.lock import SearchLock
lock = SearchLock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.readline()
lock.release()
"""
TRY = """
import sys
from pathlib import Path
from asynctune._engine.lock import SearchLock
from asynctune.errors import SearchLockedError
try:
    SearchLock(Path(sys.argv[1])).release()
    print("free")
except SearchLockedError as error:
    print(error)
"""
# Its child lives on when it has ended, with everything that a fork inherits, and says whether it can write the search itself.
# The child is told through a pipe of its own: of two who read one pipe, either may get a line.
FORK = """
import os, sys
from pathlib import Path
from asynctune._engine.lock import SearchLock
from asynctune.errors import SearchLockedError
directory, for_child = Path(sys.argv[1]), int(sys.argv[2])
lock = SearchLock(directory)
if os.fork() == 0:
    try:
        SearchLock(directory)
    except SearchLockedError as error:
        print(f"child: {error}", flush=True)
    lock.release()
    os.read(for_child, 1)
    SearchLock(directory).release()
    print("child: free", flush=True)
    os._exit(0)
sys.stdin.readline()
os._exit(0)
"""


@contextmanager
def running(program: str, directory: Path, inherited: int | None = None) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """A process that has said its first line. It has the descriptor `inherited`."""
    kept = () if inherited is None else (inherited,)
    with subprocess.Popen(
        [sys.executable, "-c", program, str(directory), *map(str, kept)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        pass_fds=kept,
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield process, [process.stdout.readline().strip()]
        finally:
            process.kill()


def attempt(directory: Path) -> str:
    """What another process gets when it tries."""
    done = subprocess.run([sys.executable, "-c", TRY, str(directory)], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.mark.fault(16)
def test_a_second_process_is_told_who_writes_it(tmp_path: Path) -> None:
    with running(HOLD, tmp_path) as (process, said):
        assert said == ["held"]
        with pytest.raises(SearchLockedError, match=rf"is being written by process {process.pid} on \S+, since 20\d\d-"):
            SearchLock(tmp_path)
        told = holder(tmp_path)
        assert told is not None
        assert told.startswith(f"process {process.pid} on ")


@pytest.mark.fault(16)
def test_the_same_process_is_told_that_it_writes_it_itself(tmp_path: Path) -> None:
    lock = SearchLock(tmp_path)
    for path in (tmp_path, tmp_path / ".." / tmp_path.name):
        with pytest.raises(SearchLockedError, match=f"process {os.getpid()} on"):
            SearchLock(path)
        told = holder(path)
        assert told is not None
        assert f"process {os.getpid()} on" in told
    # Having looked has not let go of it.
    assert f"process {os.getpid()} on" in attempt(tmp_path)
    lock.release()


def test_a_lock_that_was_released_is_free_for_everybody(tmp_path: Path) -> None:
    lock = SearchLock(tmp_path)
    lock.release()
    lock.release()
    assert holder(tmp_path) is None
    assert attempt(tmp_path) == "free"
    SearchLock(tmp_path).release()


def test_releasing_twice_does_not_release_the_next_ones(tmp_path: Path) -> None:
    first = SearchLock(tmp_path)
    first.release()
    second = SearchLock(tmp_path)
    first.release()
    assert f"process {os.getpid()} on" in attempt(tmp_path)
    second.release()


def test_a_refusal_lets_go_of_nothing(tmp_path: Path) -> None:
    lock = SearchLock(tmp_path)
    for _ in range(3):
        with pytest.raises(SearchLockedError):
            SearchLock(tmp_path)
        assert attempt(tmp_path) != "free"
    lock.release()


@pytest.mark.fault(16)
def test_the_lock_dies_with_its_holder(tmp_path: Path) -> None:
    with running(HOLD, tmp_path) as (process, _):
        process.kill()
        process.wait()
        assert holder(tmp_path) is None
        SearchLock(tmp_path).release()


@pytest.mark.fault(16)
def test_a_forked_child_of_the_holder_neither_keeps_the_lock_nor_loses_it(tmp_path: Path) -> None:
    for_child, tell_child = os.pipe()
    with os.fdopen(tell_child, "wb"), os.fdopen(for_child, "rb"), running(FORK, tmp_path, for_child) as (process, said):
        assert process.stdout is not None
        assert process.stdin is not None
        (child,) = said
        assert child.startswith("child: ")
        assert f"is being written by process {process.pid} on" in child
        # What the child does with what it inherited is nothing to the parent's lock.
        assert f"process {process.pid} on" in attempt(tmp_path)
        process.stdin.write("end\n")
        process.stdin.flush()
        process.wait()
        # The child lives, and holds nothing; nor does it believe so.
        assert attempt(tmp_path) == "free"
        os.write(tell_child, b"!")
        assert process.stdout.readline() == "child: free\n"


@pytest.mark.fault(16)
def test_looking_who_holds_it_keeps_nobody_from_taking_it(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from asynctune._engine.lock import holder
print("looking", flush=True)
while True:
    holder(Path(sys.argv[1]))
"""
    SearchLock(tmp_path).release()
    with running(program, tmp_path):
        for _ in range(500):
            SearchLock(tmp_path).release()


def test_looking_needs_no_right_to_write(tmp_path: Path) -> None:
    with running(HOLD, tmp_path) as (process, _):
        path = tmp_path / "journal.lock"
        before = path.stat()
        told = holder(tmp_path)
        assert told is not None
        assert str(process.pid) in told
        assert path.stat() == before


@pytest.mark.parametrize("name", ["", "{", "[]", "1", '{"pid": 3}', json.dumps({"pid": 1, "host": "h", "since": 1e300})])
def test_a_holder_that_did_not_say_who_it_is_is_another_process(tmp_path: Path, name: str) -> None:
    with running(HOLD, tmp_path):
        (tmp_path / "journal.lock").write_text(name)
        with pytest.raises(SearchLockedError, match="is being written by another process"):
            SearchLock(tmp_path)


def test_nobody_writes_where_there_is_nothing(tmp_path: Path) -> None:
    assert holder(tmp_path) is None
    assert holder(tmp_path / "nonesuch") is None
    assert list(tmp_path.iterdir()) == []
