"""Whole searches in which trials break limits: who is ended, who is not, and what is said of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import asynctune as at
from asynctune.failure import FailureKind
from asynctune.testing.leftovers import nothing_left, snapshot

pytestmark = pytest.mark.process

LOSS = at.Objective("loss", "min")
ROOT = Path(__file__).parents[2]
PATIENCE = 60.0


def _sleep(trial: at.Trial) -> None:
    time.sleep(600)


def _eat(trial: at.Trial) -> None:
    eaten = b"x" * 2**20 * 80
    while eaten:
        time.sleep(600)


def _multiply(trial: at.Trial) -> None:
    for _ in range(20):
        subprocess.Popen(["sleep", "600"])
    time.sleep(600)


@pytest.mark.fault(5)
@pytest.mark.parametrize(
    ("bad", "limits", "kind", "says"),
    [
        (_sleep, {"trial_time": 1.0}, FailureKind.TIMED_OUT, "it ran longer than 1 s: Limits(trial_time=1)"),
        (_sleep, {"silence": 0.8}, FailureKind.SILENT, "it did not report for 0.8 s: Limits(silence=0.8)"),
        (_eat, {"memory": "64 MiB"}, FailureKind.OUT_OF_MEMORY, "MiB of memory: Limits(memory=64 MiB)"),
        (_multiply, {"processes": 15}, FailureKind.REFUSED, ": Limits(processes=15)"),
    ],
    ids=["time", "silence", "memory", "processes"],
)
@pytest.mark.parametrize("isolation", ["trial", "worker"])
async def test_who_breaks_a_limit_fails_with_its_kind_and_hurts_no_other(
    bad: Any, limits: dict[str, Any], kind: FailureKind, says: str, *, isolation: Any, tmp_path: Path
) -> None:
    def train(trial: at.Trial) -> Any:
        for step in range(4):
            trial.report(loss=float(trial.id + step))
            time.sleep(0.1)
        return bad(trial) if trial.id == 2 else float(trial.id)

    before = snapshot()
    result = await at.search(
        train,
        objective=LOSS,
        executor=at.LocalExecutor(2, isolation=isolation),
        max_trials=6,
        limits=at.Limits(**limits, grace=1),
        failure=at.FailurePolicy(max_retries_per_trial=1),
        storage=tmp_path,
    )
    view = result.trials[2]
    assert view.failure is not None
    assert (view.state, view.attempt, view.failure.kind) == (at.State.FAILED, 2, kind)
    assert says in view.failure.message
    assert [trial.state for trial in result.trials.values() if trial.id != 2] == [at.State.COMPLETED] * 5
    for launch in (1, 2):
        assert bad.__name__ in (tmp_path / f"logs/2-{launch}.log").read_text()
    nothing_left(before)


SERVICE = """
import asyncio, os, sys, time
from pathlib import Path
import asynctune as at

def train(trial):
    for step in range(30):
        trial.report(loss=float(step))
        time.sleep(0.01)
    if trial.id == 0:
        Path(sys.argv[1], "hangs").write_text(str(os.getpid()))
        time.sleep(600)
    return 1.0

def main():
    result = at.run(train, objective=at.Objective("loss", "min"), executor=at.LocalExecutor(4), max_trials=12,
                    limits=at.Limits(trial_time=1.5, silence=1.0, grace=0.2), storage=sys.argv[1] + "/runs", display=False)
    for trial in result.trials.values():
        print(trial.id, trial.state.value, trial.failure and trial.failure.kind.name)

if __name__ == "__main__":
    main()
"""


@pytest.mark.fault(12)
def test_a_service_that_is_stopped_costs_no_trial_its_time_and_saves_none_that_hangs(tmp_path: Path) -> None:
    script = tmp_path / "service.py"
    script.write_text(SERVICE)
    command, environment = [sys.executable, str(script), str(tmp_path)], {**os.environ, "PYTHONPATH": str(ROOT)}
    service = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT)
    try:
        until((tmp_path / "hangs").exists)
        os.kill(service.pid, signal.SIGSTOP)
        victim = int((tmp_path / "hangs").read_text())
        until(lambda: not Path(f"/proc/{victim}").exists())
        time.sleep(2.0)  # longer than anybody may take
        os.kill(service.pid, signal.SIGCONT)
        said, _ = service.communicate(timeout=PATIENCE)
    finally:
        service.kill()
        service.wait()
    assert said.splitlines() == ["0 FAILED SILENT", *(f"{trial} COMPLETED None" for trial in range(1, 12))]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)
