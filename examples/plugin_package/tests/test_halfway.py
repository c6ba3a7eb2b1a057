"""The scheduler, by hand, against the contract, and by its name in a search."""

from __future__ import annotations

import pytest
from asynctune_halfway import Halfway

import asynctune as at
from asynctune.testing import SchedulerContract, SchedulerRehearsal, fuzz_scheduler


class TestHalfway(SchedulerContract):
    """Everything that a search may do to it."""

    def make(self) -> Halfway:
        """A new one."""
        return Halfway(step=3)


def test_fuzzed() -> None:
    """In any order."""
    fuzz_scheduler(lambda: Halfway(step=2), seeds=20)


def test_the_worse_half_is_stopped() -> None:
    """By hand."""
    stage = SchedulerRehearsal(Halfway(step=2), at.Objective("loss", "min"))
    verdicts = [stage.report(stage.add(), 2, loss) for loss in (3.0, 1.0, 2.0, 0.5, 9.0)]
    assert [isinstance(verdict, at.Stop) for verdict in verdicts] == [False, False, False, False, True]


def test_a_step_that_there_is_not_is_refused() -> None:
    """Before anything starts."""
    with pytest.raises(at.errors.ConfigurationError, match="counted from 1"):
        Halfway(step=0)


async def train(trial: at.AsyncTrial) -> None:
    """Ten steps."""
    rate = trial.hp.Float("rate", 0.1, 1.0)
    for step in range(1, 11):
        await trial.report(loss=rate / step)


def test_a_search_finds_it_by_its_name() -> None:
    """As it was installed."""
    result = at.run(
        train,
        objective=at.Objective("loss", "min"),
        scheduler="halfway",
        executor=at.InlineExecutor(2),
        max_trials=20,
        seed=0,
        display=False,
    )
    stopped = [trial for trial in result.trials.values() if trial.stop_reason]
    assert 0 < len(stopped) < 20
    assert all(trial.step == 5 for trial in stopped)
