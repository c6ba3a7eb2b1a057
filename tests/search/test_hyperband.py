"""Hyperband with real processes: a promoted trial starts from its parent's files, also when the search was killed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import asynctune as at
from asynctune._engine.journal import read_records
from asynctune._engine.retelling import retold
from asynctune.checkpoints import DirectoryStore
from asynctune.oracles import HyperbandOracle
from asynctune.records import State, TrialView
from asynctune.testing.history import check_history
from asynctune.testing.killing import kill_repeatedly

pytestmark = pytest.mark.process

# Each checkpoint says who trained which epoch, from the first on: what is restored must be the parent's, or its own.
SCRIPT = """
import contextlib, sys
import asynctune as at
from asynctune.oracles import HyperbandOracle
from asynctune.testing.killing import killed_at

storage, times = sys.argv[1:]

def train(trial):
    x = trial.hp.Float("x", 0.0, 1.0)
    start = trial.restore()
    trained = "" if start is None else (start / "trained").read_text()
    whose = trained.split()[-1:]
    assert whose in ([], [f"{trial.parent}:{trial.step}"], [f"{trial.id}:{trial.step}"]), (trial, trained)
    for epoch in range(trial.step + 1, trial.budget + 1):
        trained += f" {trial.id}:{epoch}"
        with trial.checkpoint() as directory:
            (directory / "trained").write_text(trained)
        trial.report(step=epoch, loss=x + 1 / epoch)

with killed_at("told", int(times)) if int(times) else contextlib.nullcontext():
    at.run(
        train, objective=at.Objective("loss", "min"), oracle=HyperbandOracle(max_epochs=4, factor=2), storage=storage,
        display=False, seed=1, executor=at.LocalExecutor(2),
    )
"""


def trained(storage: Path, trial: TrialView) -> str:
    assert trial.checkpoint is not None
    return (DirectoryStore(storage / "checkpoints").path(trial.checkpoint) / "trained").read_text()


def check_whole(storage: Path) -> None:
    records = read_records(storage)
    check_history(records, oracle=HyperbandOracle(max_epochs=4, factor=2))
    trials = retold(records).trials
    assert len(trials) == 15
    for trial in trials:
        before = 0
        lineage = ""
        if trial.parent is not None:
            parent = trials[trial.parent]
            assert parent.budget is not None
            before, lineage = parent.budget, trained(storage, parent)
            assert trial.values == parent.values
        assert trial.budget is not None
        own = [f" {trial.id}:{epoch}" for epoch in range(before + 1, trial.budget + 1)]
        assert trained(storage, trial) == lineage + "".join(own)
        assert [report.step for report in trial.reports] == list(range(before + 1, trial.budget + 1))
        assert (trial.state, trial.attempt) == (State.COMPLETED, 1)


def test_a_promoted_trial_starts_from_its_parents_files_also_after_a_kill(tmp_path: Path) -> None:
    """KerasTuner's test_hyperband_load_weights, and what it cannot: nothing of a trial that was killed is trained again."""
    storage = tmp_path / "search"
    program = [sys.executable, "-c", SCRIPT, str(storage)]
    kills = [20, 12]  # commits until each: in the first bracket, and among promotions
    killed = kill_repeatedly(
        lambda start: [*program, str(kills[start] if start < len(kills) else 0)], storage, kills=len(kills), after=None
    )
    assert killed == len(kills)
    check_whole(storage)


async def test_an_async_trainable_knows_its_parent_and_its_budget(tmp_path: Path) -> None:
    said: list[tuple[int, int | None, int | None, int]] = []

    async def train(trial: at.AsyncTrial) -> None:
        trial.restore()
        said.append((trial.id, trial.parent, trial.budget, trial.step))
        with trial.checkpoint(step=trial.budget):
            pass
        await trial.report(step=trial.budget, loss=float(trial.id))
        raise AssertionError("it was to be stopped")

    result = await at.search(
        train,
        space={"x": at.Int(0, 99)},
        objective=at.Objective("loss", "min"),
        oracle=HyperbandOracle(max_epochs=2, factor=2),
        executor=at.InlineExecutor(1),
        storage=tmp_path / "search",
    )
    assert said == [(0, None, 1, 0), (1, None, 1, 0), (2, 0, 2, 1), (3, None, 2, 0), (4, None, 2, 0)]
    rows = result.to_dicts()
    assert [(row.get("parent"), row["budget"]) for row in rows] == [(None, 1), (None, 1), (0, 2), (None, 2), (None, 2)]
    assert list(rows[2])[-4:] == ["parent", "budget", "values/x", "objective"]
    assert "parent" not in rows[0]


async def test_who_has_no_budget_is_told_of_none(tmp_path: Path) -> None:
    said = []

    async def train(trial: at.AsyncTrial) -> float:
        said.append((trial.parent, trial.budget))
        return 1.0

    result = await at.search(
        train, objective=at.Objective("loss", "min"), max_trials=1, executor=at.InlineExecutor(1), storage=tmp_path / "search"
    )
    assert said == [(None, None)]
    assert not {"parent", "budget"} & result.to_dicts()[0].keys()
