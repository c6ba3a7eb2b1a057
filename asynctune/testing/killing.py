"""SIGKILL for a program that searches: at random moments, or where a search comes to a named point. And what must hold then.

`kill_repeatedly` starts a program again and again, as somebody would whose machine keeps failing. `killed_at` is for the
program itself: it dies where it is told to, by an argument of its own.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from asynctune._engine.journal import read_records
from asynctune._engine.points import Point, listening
from asynctune._engine.record import pack
from asynctune._engine.retelling import retold
from asynctune.checkpoints import DirectoryStore
from asynctune.errors import StorageError
from asynctune.records import LaunchNumber, TrialId
from asynctune.testing.history import check_history
from asynctune.testing.leftovers import gone

__all__ = ["KILL_POINTS", "kill_repeatedly", "killed_at"]

KILL_POINTS: Sequence[str] = tuple(point.value for point in Point)
"""Where `killed_at` can kill: "opened" (the records were read), "writing" (in a commit), "written" (behind it, before its head
mark), "committed" (nobody was told), "told" (reports were answered), "starting" (before a launch begins that is recorded),
"deleting" (before a checkpoint that nobody needs is deleted), "closing" (before the journal is)."""
_NAME = "ASYNCTUNE_KILLED"
_ENDS_IN = 300.0  # seconds; who takes longer to come to its end, or to its point, hangs


@contextmanager
def killed_at(point: str, times: int = 1) -> Iterator[None]:
    """While the block lasts, SIGKILL this process when a search in it comes to `point` for the `times`-th time.

    Args:
        point: one of `KILL_POINTS`.
        times: counted from 1, over all threads and searches.

    Raises:
        ValueError: there is no such point, or `times` is below 1.
    """
    if point not in KILL_POINTS:
        raise ValueError(f"there is no point {point!r}: there are {', '.join(KILL_POINTS)}")
    if times < 1:
        raise ValueError(f"killed_at(times=...) is counted from 1, not {times}")
    counted = itertools.count(1)

    def kill(reached: Point, _: Any) -> None:
        if reached.value == point and next(counted) == times:
            os.kill(os.getpid(), signal.SIGKILL)

    with listening(kill):
        yield


def kill_repeatedly(
    command: Sequence[str] | Callable[[int], Sequence[str]],
    storage: Path,
    *,
    kills: int,
    after: tuple[float, float] | None,
    seed: int = 0,
    orphans: float = 1.0,
    cwd: Path | None = None,
    acknowledged: Callable[[], Collection[tuple[TrialId, LaunchNumber, int]]] = tuple,
) -> int:
    """Start a program that searches, kill it, look at what it left, and so on; in the end let it finish.

    Each time it is started it must go on with its search, or end by itself with exit code 0. Each time it is dead, none of its
    processes is left `orphans` seconds later; the records are those from before, and more behind them; they are a history
    (`check_history`) in which everything is that was acknowledged; and the checkpoints are there from which its trials go on.

    Args:
        command: the program and its arguments; or a function that makes them from the number of the start, from 0.
        storage: the directory of its search.
        kills: how often at most. It is not started again once its search has ended.
        after: when to kill it, in seconds from its start: drawn from between these. None leaves it to `killed_at`.
        seed: of what is drawn.
        orphans: how long what it leaves behind may live, in seconds.
        cwd: where it is started; here, if None.
        acknowledged: (trial, launch, step) of every report that a trial has got an answer to, as the trials have noted it.

    Returns:
        How often it was killed.

    Raises:
        AssertionError: names what does not hold.
    """
    luck, mark = random.Random(seed), str(uuid.uuid4())
    recorded: list[bytes] = []
    killed = 0
    for start in itertools.count():
        arguments = command(start) if callable(command) else command
        wait = luck.uniform(*after) if after is not None else _ENDS_IN
        marked = ["env", f"{_NAME}={mark}", *arguments]
        survived = _lives(marked, cwd, wait if killed < kills else _ENDS_IN, last=killed >= kills)
        gone(f"{_NAME}={mark}", orphans)
        recorded = _looked_at(storage, recorded, acknowledged())
        if survived:
            break
        killed += 1
    assert recorded, f"it has come to its end, and there is no search in {storage}"
    return killed


def _lives(command: Sequence[str], cwd: Path | None, wait: float, *, last: bool) -> bool:
    """Whether it came to its end before it was killed."""
    with tempfile.TemporaryFile("w+") as said:
        nothing = subprocess.DEVNULL
        with subprocess.Popen(command, stdin=nothing, stdout=nothing, stderr=said, cwd=cwd) as process:
            try:
                process.wait(wait)
            except subprocess.TimeoutExpired:
                process.kill()
                assert not last, f"it did not end in {wait:g} s: {_words(said)}"
        assert process.returncode in (0, -signal.SIGKILL), f"it ended with {process.returncode}: {_words(said)}"
        return process.returncode == 0


def _words(said: IO[str]) -> str:
    said.seek(0)
    return said.read()[-5000:]


def _looked_at(
    storage: Path, before: Sequence[bytes], acknowledged: Iterable[tuple[TrialId, LaunchNumber, int]]
) -> list[bytes]:
    try:
        records = read_records(storage)
    except StorageError:
        records = []  # it was killed before there was anything
    recorded = [pack(record) for record in records]
    assert recorded[: len(before)] == before, f"what was recorded has changed ({len(before)} records, now {len(recorded)})"
    check_history(records, acknowledged=acknowledged)
    store = DirectoryStore(storage / "checkpoints")
    for trial in retold(records).trials:
        needed = None if trial.state.ended else trial.checkpoint
        assert needed is None or store.exists(needed), f"{needed} is gone, from which trial {trial.id} was to go on"
    return recorded
