"""Oracles in KerasTuner's words, in whole searches."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import asynctune as at
from asynctune.errors import ConfigurationError, PluginError
from asynctune.keras import GridSearchOracle, KerasOracle, Oracle, RandomSearchOracle
from asynctune.testing import check_history

MAX = at.Objective("score", "max")
SPACE = {"x": at.Int(0, 99), "y": at.Float(0.0, 1.0)}


class Climbing(Oracle):
    """One further than the best so far."""

    def populate_space(self, trial_id: str) -> Mapping[str, Any]:
        best = max((trial.score for trial in self.trials.values() if trial.score is not None), default=0.0)
        running = [trial for trial in self.trials.values() if trial.status == "RUNNING"]
        if len(running) > 1:
            return {"status": "IDLE"}
        assert list(self.hyperparameters.space) == ["x", "y"]
        return {"status": "RUNNING", "values": {"x": int(best) + 1}}


async def train(trial: at.AsyncTrial) -> float:
    await trial.report(score=float(trial.config["x"]))
    return float(trial.config["x"])


async def search(oracle: Oracle, **options: Any) -> at.Result:
    executor = options.pop("executor", None) or at.InlineExecutor(options.pop("workers", 1))
    given: dict[str, Any] = {"objective": MAX, "max_trials": 6, "seed": 0, "executor": executor, **options}
    return await at.search(train, SPACE, oracle=KerasOracle(oracle), **given)


@pytest.mark.parametrize("workers", [1, 4])
async def test_it_proposes_from_what_it_finds(workers: int, tmp_path: Path) -> None:
    result = await search(Climbing(), storage=tmp_path, workers=workers)
    assert len(result.trials) == 6
    assert len({tuple(trial.values.items()) for trial in result.trials.values()}) == 6
    if workers == 1:
        assert [trial.values["x"] for trial in result.trials.values()] == [1, 2, 3, 4, 5, 6]
    check_history(tmp_path, oracle=KerasOracle(Climbing()))


async def test_one_that_is_driven_by_hand_says_the_same() -> None:
    result = await search(Climbing())
    oracle = Climbing(MAX, max_trials=6, hyperparameters=SPACE, seed=0)
    while (trial := oracle.create_trial("a")).status == "RUNNING":
        oracle.update_trial(trial.trial_id, {"score": trial.hyperparameters.values["x"]})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
    assert [trial.hyperparameters.values for trial in oracle.trials.values()] == [t.values for t in result.trials.values()]


async def test_one_that_stops_ends_the_search() -> None:
    class Two(Oracle):
        def populate_space(self, trial_id: str) -> Mapping[str, Any]:
            if len(self.trials) >= 2:
                return {"status": "STOPPED"}
            return {"status": "RUNNING", "values": {"x": int(trial_id)}}

    assert len((await search(Two())).trials) == 2


async def test_ours_do_as_they_do() -> None:
    result = await at.search(
        train,
        {"x": at.Int(1, 4)},
        objective=MAX,
        max_trials=9,
        oracle=KerasOracle(GridSearchOracle()),
        executor=at.InlineExecutor(1),
    )
    assert [trial.values["x"] for trial in result.trials.values()] == [1, 2, 3, 4]


@pytest.mark.parametrize("space", [None, {"x": at.Float(0.0, 1.0)}])
async def test_ours_draw_as_they_draw(space: Any) -> None:
    async def draws(trial: at.AsyncTrial) -> float:
        return trial.hp.Float("x", 0.0, 1.0)

    given: dict[str, Any] = {"objective": MAX, "max_trials": 5, "seed": 3}
    oracles = at.oracles.RandomSearch(), KerasOracle(RandomSearchOracle())
    found = [await at.search(draws, space, oracle=oracle, executor=at.InlineExecutor(1), **given) for oracle in oracles]
    values = [[trial.values for trial in result.trials.values()] for result in found]
    assert values[0] == values[1]


class Remembering(Oracle):
    """Keeps a count of its own, and a state."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.count = 0

    def populate_space(self, trial_id: str) -> Mapping[str, Any]:
        self.count += 1
        return {"status": "RUNNING", "values": {"x": self.count}}

    def get_state(self) -> dict[str, Any]:
        return {**super().get_state(), "count": self.count}

    def set_state(self, state: Mapping[str, Any]) -> None:
        super().set_state(state)
        self.count = state["count"]


async def test_its_state_is_recorded(tmp_path: Path) -> None:
    await search(Remembering(), storage=tmp_path, max_trials=3)
    result = await search(Remembering(), storage=tmp_path, max_trials=5)
    assert [trial.values["x"] for trial in result.trials.values()] == [1, 2, 3, 4, 5]
    check_history(tmp_path, oracle=KerasOracle(Remembering()))


async def test_one_that_raises_or_answers_nonsense_is_named() -> None:
    class Raises(Oracle):
        def populate_space(self, trial_id: str) -> Mapping[str, Any]:
            raise KeyError("tuner/epochs")

    class Odd(Oracle):
        def populate_space(self, trial_id: str) -> Mapping[str, Any]:
            return {"status": "MAYBE"}

    for oracle, said in ((Raises(), "tuner/epochs"), (Odd(), r"Odd\.populate_space returned")):
        with pytest.raises(PluginError, match=said):
            await search(oracle)


def test_what_is_no_such_oracle_is_refused() -> None:
    for wrong in (3, Climbing, at.oracles.RandomSearch()):
        with pytest.raises(ConfigurationError, match=r"KerasOracle\(\.\.\.\) takes"):
            KerasOracle(wrong)  # type: ignore[arg-type]


async def test_one_that_is_not_wrapped_is_told_how() -> None:
    with pytest.raises(ConfigurationError, match=r"KerasOracle\(Climbing\(\.\.\.\)\)"):
        await at.search(train, SPACE, objective=MAX, oracle=Climbing(), max_trials=1)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------------- what is resumed


def asked(storage: Path, **options: Any) -> at.Search:
    return at.Search(
        None,
        SPACE,
        objective=MAX,
        oracle=KerasOracle(Climbing()),
        executor=at.External(),
        storage=storage,
        **{"max_trials": 4, "seed": 0, **options},
    )


async def finish(search: at.Search) -> at.Result:
    while (launch := await search.ask()) is not None:
        await launch.finish(float(launch.config["x"]))
    return await search.result()


async def test_a_search_that_is_killed_in_its_first_trial_goes_on(tmp_path: Path) -> None:
    """case 8: KerasTuner starts again over the old directories, as nothing says yet that there is something."""
    async with asked(tmp_path / "killed") as search:
        launch = await search.ask()
        assert launch is not None
        shutil.copytree(tmp_path / "killed", tmp_path / "left")  # as kill -9 leaves it
        values = launch.values
    async with asked(tmp_path / "left") as search:
        again = await search.ask()
        assert again is not None
        assert (again.trial, again.number, again.attempt, again.values) == (0, 2, 1, values)
        await again.finish(1.0)
        assert len((await finish(search)).trials) == 4
    check_history(tmp_path / "left")


async def test_whoever_runs_the_trials_may_have_any_name(tmp_path: Path) -> None:
    """case 7: KerasTuner resumes only a worker that is called "tuner0"."""

    async def worker_4_of_7(search: at.Search, trials: int) -> None:
        for _ in range(trials):
            launch = await search.ask()
            assert launch is not None
            await launch.finish(float(launch.config["x"]))

    async with asked(tmp_path) as search:
        await worker_4_of_7(search, 2)
    async with asked(tmp_path) as search:
        assert [trial.state for trial in search.trials.values()] == [at.State.COMPLETED] * 2
        await worker_4_of_7(search, 2)
        result = await search.result()
    assert [trial.values["x"] for trial in result.trials.values()] == [1, 2, 3, 4]
    check_history(tmp_path)


async def test_a_retry_after_nan_has_the_score_of_the_retry(tmp_path: Path) -> None:
    """case 1: in KerasTuner the NaN stays, and the trial is FAILED."""
    async with asked(tmp_path, max_trials=1, failure=at.FailurePolicy(max_retries_per_trial=1)) as search:
        for score in (math.nan, 7.0):
            launch = await search.ask()
            assert launch is not None
            await launch.finish(score)
        result = await search.result()
    assert (result.trials[0].state, result.trials[0].score, result.trials[0].attempt) == (at.State.COMPLETED, 7.0, 2)


async def test_too_many_failures_are_all_on_record(tmp_path: Path) -> None:
    """case 10: KerasTuner does not record the last one, and its lock stays locked."""
    policy = at.FailurePolicy(max_retries_per_trial=0, max_consecutive_failed_trials=2)
    async with asked(tmp_path, failure=policy) as search:
        for _ in range(2):
            launch = await search.ask()
            assert launch is not None
            await launch.fail("no")
        assert await search.ask() is None
        with pytest.raises(at.errors.TooManyFailuresError):
            await search.result()
    async with asked(tmp_path, failure=policy) as search:
        assert [trial.state for trial in search.trials.values()] == [at.State.FAILED] * 2
        result = await finish(search)
    assert [trial.score for trial in result.best_trials(9)] == sorted((t.score for t in result.best_trials(9)), reverse=True)  # type: ignore[type-var]
    assert all(trial.state is at.State.COMPLETED for trial in result.best_trials(9))  # case 17
