"""A clock on the wall that jumps by a year, forth and back, decides nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

# Runs before anything else in every interpreter of the family, so that nobody has the true one.
JUMPS = """
import itertools, time
true, year = time.time, 365 * 86400
jumps = itertools.cycle([year, -year, 0])
time.time = lambda: true() + next(jumps)
time.time_ns = lambda: int(time.time() * 1e9)
"""
SCRIPT = """
import json, sys, time
import asynctune as at

def train(trial):
    for step in range(3):
        trial.report(loss=float(trial.id))
    times = [time.time() for _ in range(3)]
    return {"loss": float(trial.id), "jumped": max(times) - min(times)}

if __name__ == "__main__":
    result = at.run(
        train, {"x": at.Float(0, 1)}, objective=at.Objective("loss", "min"), max_trials=4, seed=0, storage=sys.argv[1],
        limits=at.Limits(trial_time=600), stop=at.stoppers.TimeBudget(3600), executor=at.LocalExecutor(2), display=False,
    )
    trials = result.trials.values()
    print(json.dumps({
        "reason": result.reason,
        "states": [trial.state.value for trial in trials],
        "jumped": [trial.metrics["jumped"] for trial in trials],
        "took": max(trial.ended for trial in trials),
    }))
"""


@pytest.mark.fault(27)
def test_a_wall_clock_that_jumps_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(JUMPS)
    (tmp_path / "jumping.py").write_text(SCRIPT)
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path}
    said = []
    for _ in range(2):  # the second time it is opened again, a year before or after
        command = [sys.executable, str(tmp_path / "jumping.py"), str(tmp_path / "search")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
        said.append(json.loads(done.stdout))
    first = said[0]
    assert (first["reason"], first["states"]) == ("every trial has ended", ["COMPLETED"] * 4)
    assert all(jumped > 300 * 86400 for jumped in first["jumped"])
    assert 0 < first["took"] < 600
    assert said[1] == first
