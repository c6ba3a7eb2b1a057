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
from asynctune._engine.retelling import Retold, retold
from asynctune.errors import StorageError
from asynctune.events import Started
from asynctune.records import State
from tests.leftovers import marked

pytestmark = pytest.mark.process

SCRIPT = """
import sys, time
import asynctune as at

def train(trial):
    x = trial.hp.Float("x", 0.0, 1.0)
    for step in range(1, 6):
        time.sleep(0.02)
        with open(sys.argv[2], "a") as file:
            file.write(f"asked {trial.id} {trial.launch} {step}\\n")
        trial.report(step=step, loss=x + 1 / step)
        with open(sys.argv[2], "a") as file:
            file.write(f"acknowledged {trial.id} {trial.launch} {step}\\n")
    return None

result = at.run(
    train, objective=at.Objective("loss", "min"), max_trials=24, storage=sys.argv[1], display=False, seed=1,
    executor=at.LocalExecutor(2), scheduler=at.schedulers.FIFO(),
)
print(sum(trial.state is at.State.COMPLETED for trial in result.trials.values()))
"""


def story(directory: Path) -> Retold:
    try:
        return retold(read_records(directory))
    except StorageError:
        return Retold(None, [], None)


def gone(mark: str, within: float) -> None:
    deadline = time.monotonic() + within
    while left := marked(mark):
        assert time.monotonic() < deadline, f"processes {left} are still there"
        time.sleep(0.01)  # what we wait for is the kernel, which sends no event to a process that is no parent


def test_killed_ten_times_it_finishes(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    luck = random.Random(seed)
    storage, said = tmp_path / "search", tmp_path / "said"
    said.touch()
    mark = f"KILLED={tmp_path}"
    environment = {**os.environ, **dict([mark.split("=", 1)])}
    command = [sys.executable, "-c", SCRIPT, str(storage), str(said)]
    completed: set[int] = set()
    for _ in range(10):
        process = subprocess.Popen(command, env=environment)
        try:
            process.wait(timeout=luck.uniform(0.2, 0.9))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.wait()
        gone(mark, 1.0)
        now = {trial.id for trial in story(storage).trials if trial.state is State.COMPLETED}
        assert completed <= now
        completed = now
    last = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=60)
    assert last.stdout.strip() == "24"
    gone(mark, 1.0)
    records = read_records(storage)
    reported = {
        (h.trial, h.launch, h.step)
        for r in records
        for h in r.happened
        if type(h).__name__ == "Reported"  # type: ignore[union-attr]
    }
    lines = [line.split() for line in said.read_text().splitlines()]
    acknowledged = {(int(trial), int(launch), int(step)) for what, trial, launch, step in lines if what == "acknowledged"}
    assert acknowledged <= reported
    ended: set[int] = set()
    for record in records:
        for happening in record.happened:
            if isinstance(happening, Started):
                assert happening.trial not in ended, f"trial {happening.trial} ran again"
            elif type(happening).__name__ == "Finished":
                ended.add(happening.trial)  # type: ignore[union-attr]
    assert all(trial.attempt == 1 for trial in retold(records).trials), "an interruption cost an attempt"
