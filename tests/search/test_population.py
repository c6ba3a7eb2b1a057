"""Population based training in processes of its own: it improves on its own start, and can be repeated."""

from __future__ import annotations

from pathlib import Path

import pytest

import asynctune as at
from asynctune.errors import ConfigurationError
from asynctune.schedulers import PopulationBasedTraining, PopulationBasedTrainingReplay
from asynctune.testing import check_history
from tests.search.populating import ALONE, SPACE, STEPS, lived, train


@pytest.mark.process
@pytest.mark.parametrize("synchronous", [True, False])
def test_it_gets_further_than_any_of_its_first_values_could(tmp_path: Path, synchronous: bool) -> None:
    def make() -> at.Scheduler:
        return PopulationBasedTraining(perturbation_interval=4, synchronous=synchronous, population=4, resample_probability=0.5)

    result = lived(tmp_path / "search", make())
    assert all(trial.state is at.State.COMPLETED and trial.step == STEPS for trial in result.trials.values())
    assert any(trial.lineage for trial in result.trials.values())
    assert result.best_trial is not None
    assert result.best_trial.score is not None
    assert result.best_trial.score > ALONE + 0.2
    check_history(tmp_path / "search", scheduler=make())
    _repeats(tmp_path, result)


def _repeats(tmp_path: Path, result: at.Result) -> None:
    """The best trial's schedule, alone, leads to the same score."""
    replay = PopulationBasedTrainingReplay(policy=at.Result.read(tmp_path / "search"))
    assert replay.settings() == PopulationBasedTrainingReplay(policy=result).settings()
    assert len(replay.schedule) > 1
    again = lived(tmp_path / "again", replay, try_first=[replay.first], max_trials=1)
    best = result.best_trial
    assert best is not None
    assert again.trials[0].score == best.score
    assert dict(again.trials[0].values) == dict(best.values)
    check_history(tmp_path / "again", scheduler=PopulationBasedTrainingReplay(policy=result))


def test_a_trainable_that_is_not_said_to_save_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"PopulationBasedTraining has trials go on .*checkpoints=CheckpointPolicy"):
        at.run(train, objective="loss", scheduler=PopulationBasedTraining(perturbation_interval=2), max_trials=2, display=False)


def test_a_parameter_that_is_not_declared_is_refused_before_anything_starts() -> None:
    scheduler = PopulationBasedTraining(perturbation_interval=2, hyperparam_mutations=["h2"])
    with pytest.raises(ConfigurationError, match=r"names 'h2', which is not in the space; in it are 'h0', 'h1'"):
        at.run(
            train,
            space=SPACE,
            objective=at.Objective("score", "max"),
            scheduler=scheduler,
            checkpoints=at.CheckpointPolicy(),
            max_trials=2,
            display=False,
        )


def test_what_is_no_search_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"Result\.read\(directory\) takes the directory of a search, not ''"):
        at.Result.read("")
    with pytest.raises(ConfigurationError, match=r"Result\.read\('.*nothing'\): "):
        at.Result.read(tmp_path / "nothing")
