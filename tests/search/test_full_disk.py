"""A disk that fills while checkpoints are saved: it costs the trial that fills it an attempt, and nobody anything else."""

from __future__ import annotations

from pathlib import Path

import pytest

import asynctune as at
from asynctune._engine.journal import read_records
from asynctune._engine.retelling import retold
from asynctune.failure import FailureKind
from asynctune.records import TrialView

pytestmark = pytest.mark.process


@pytest.mark.fault(14)
async def test_a_checkpoint_that_finds_no_room_costs_one_attempt(small_disk: Path, tmp_path: Path) -> None:
    def train(trial: at.Trial) -> float:
        start = trial.restore()
        kept = "nothing" if start is None else (start / "state").read_text()
        print(f"attempt {trial.attempt} goes on from {kept}", flush=True)
        for step in range(trial.step + 1, 4):
            with trial.checkpoint() as directory:
                (directory / "state").write_text(f"step {step}")
                if (trial.id, trial.attempt, step) == (1, 1, 3):
                    (directory / "weights").write_bytes(b"x" * 2**23)  # twice what there is
            trial.report(step=step, loss=1 / step)
        return 0.1

    storage = small_disk / "search"
    # One at a time: whoever ran beside it would find no room either.
    result = await at.search(
        train, {"x": at.Float(0, 1)}, objective=at.Objective("loss", "min"), max_trials=4, seed=0, storage=storage,
        executor=at.LocalExecutor(1), failure=at.FailurePolicy(max_retries_per_trial=1),
    )  # fmt: skip

    def came_to(trial: TrialView) -> tuple[at.State, int, int, list[int]]:
        return trial.state, trial.attempt, trial.launches, [report.step for report in trial.reports]

    alone = (at.State.COMPLETED, 1, 1, [1, 2, 3])
    assert {number: came_to(trial) for number, trial in result.trials.items()} == {
        **dict.fromkeys((0, 2, 3), alone), 1: (at.State.COMPLETED, 2, 2, [1, 2, 3]),
    }  # fmt: skip
    (failed,) = retold(read_records(storage)).failed[1]
    assert failed.failure.kind is FailureKind.RAISED
    assert "No space left on device" in failed.failure.message
    assert (storage / "logs/1-2.log").read_text() == "attempt 2 goes on from step 2\n"
