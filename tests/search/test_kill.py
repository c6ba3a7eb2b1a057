"""A search that is killed goes on where it was: what was acknowledged is there, what was completed does not run again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from asynctune._engine.journal import read_records
from asynctune._engine.record import Record
from asynctune._engine.retelling import retold
from asynctune.errors import StorageError
from asynctune.events import Finished, Reported, Started, Stopped
from asynctune.testing.leftovers import marked

pytestmark = pytest.mark.process

SCRIPT = """
import sys, time
import asynctune as at

def train(trial):
    x = trial.hp.Float("x", 0.0, 1.0)
    for step in range(1, 6):
        time.sleep(0.02)
        trial.report(step=step, loss=x + 1 / step)
        with open(sys.argv[2], "a") as file:
            file.write(f"{trial.id} {trial.launch} {step}\\n")

at.run(
    train, objective=at.Objective("loss", "min"), max_trials=24, storage=sys.argv[1], display=False, seed=1,
    executor=at.LocalExecutor(2),
)
"""
QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart.py"


def recorded(directory: Path) -> list[Record]:
    try:
        return read_records(directory)
    except StorageError:
        return []


def gone(mark: str, within: float) -> None:
    deadline = time.monotonic() + within
    while left := marked(mark):
        assert time.monotonic() < deadline, f"processes {left} are still there"
        time.sleep(0.01)  # what we wait for is the kernel, which sends no event to a process that is no parent


def killed_and_started_again(command: list[str], directory: Path, storage: Path, between: tuple[float, float]) -> list[Record]:
    """Start `command` ten times, kill it after a random time in seconds, then let it finish; what it recorded."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    luck = random.Random(seed)
    mark = f"KILLED={directory}"
    environment = {**os.environ, "KILLED": str(directory)}
    before: list[Record] = []
    for _ in range(10):
        process = subprocess.Popen(command, env=environment, cwd=directory, stdout=subprocess.DEVNULL)
        try:
            process.wait(timeout=luck.uniform(*between))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.wait()
        gone(mark, 1.0)
        records = recorded(storage)
        assert records[: len(before)] == before, "what was recorded has changed"
        before = records
    subprocess.run(command, env=environment, cwd=directory, check=True, stdout=subprocess.DEVNULL, timeout=300)
    gone(mark, 1.0)
    return recorded(storage)


def nothing_ran_twice(records: list[Record], trials: int) -> None:
    ended: set[int] = set()
    for record in records:
        for happening in record.happened:
            if isinstance(happening, Started):
                assert happening.trial not in ended, f"trial {happening.trial} ran again"
            elif isinstance(happening, Finished | Stopped):
                ended.add(happening.trial)
    assert ended == set(range(trials))
    assert all(trial.attempt == 1 for trial in retold(records).trials), "an interruption cost an attempt"


def test_killed_ten_times_it_finishes(tmp_path: Path) -> None:
    storage, said = tmp_path / "search", tmp_path / "said"
    said.touch()
    records = killed_and_started_again([sys.executable, "-c", SCRIPT, str(storage), str(said)], tmp_path, storage, (0.2, 0.9))
    nothing_ran_twice(records, 24)
    reported = {
        (happening.trial, happening.launch, happening.step)
        for record in records
        for happening in record.happened
        if isinstance(happening, Reported)
    }
    acknowledged = {tuple(map(int, line.split())) for line in said.read_text().splitlines()}
    assert acknowledged <= reported


@pytest.mark.slow
@pytest.mark.keras
def test_the_quickstart_killed_ten_times_finishes(tmp_path: Path) -> None:
    pytest.importorskip("keras", reason="needs Keras")
    storage = tmp_path / "runs" / "quickstart"
    nothing_ran_twice(killed_and_started_again([sys.executable, str(QUICKSTART)], tmp_path, storage, (2.0, 14.0)), 40)
