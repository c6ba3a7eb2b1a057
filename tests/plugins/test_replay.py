"""The schedule of one trial of a population, followed back and repeated."""

from __future__ import annotations

from typing import Any

import pytest

from asynctune.errors import ConfigurationError
from asynctune.objective import Objective
from asynctune.records import CheckpointKey, Exploit, Origin, Report, State, TrialView
from asynctune.schedulers import PopulationBasedTrainingReplay
from asynctune.testing import SchedulerRehearsal


def view(trial: int, v: int, *origins: Origin, **more: Any) -> TrialView:
    return TrialView(id=trial, state=State.COMPLETED, values={"v": v}, lineage=origins, score=float(trial), **more)


# 0 went on as 1 from step 4, then as 2 from step 9; 2 had gone on as 0 from step 2, and went on as 1 when 0 had left it.
TRIALS = {
    0: view(
        0,
        93,
        Origin(1, CheckpointKey(1, 4, 1), {"v": 51}, 2, {"v": 0}),
        Origin(2, CheckpointKey(2, 9, 2), {"v": 93}, 3, {"v": 51}),
    ),
    1: view(1, 10),
    2: view(
        2,
        77,
        Origin(0, CheckpointKey(0, 2, 1), {"v": 62}, 2, {"v": 20}),
        Origin(1, CheckpointKey(1, 11, 1), {"v": 77}, 3, {"v": 62}),
    ),
}


@pytest.mark.parametrize(
    ("trial", "schedule"),
    [
        (0, [(0, 0), (2, 62), (9, 93)]),  # as 2, which had been 0 before that was anybody else
        (1, [(0, 10)]),
        (2, [(0, 10), (11, 77)]),
    ],
)
def test_the_schedule_is_followed_back_through_those_it_went_on_as(trial: int, schedule: list[tuple[int, int]]) -> None:
    replay = PopulationBasedTrainingReplay(policy=TRIALS, trial=trial)
    assert replay.schedule == tuple((step, {"v": v}) for step, v in schedule)
    assert replay.first == {"v": schedule[0][1]}


def shown(step: int, *, saved: bool = True) -> tuple[TrialView, Report]:
    key = CheckpointKey(0, step, 1) if saved else None
    return TrialView(id=0, state=State.RUNNING, values={"v": 0}, step=step, checkpoint=key), Report(step, {"s": 1.0}, 0.0, 1)


def test_values_are_changed_at_the_steps_at_which_they_were() -> None:
    replay = PopulationBasedTrainingReplay(policy=TRIALS, trial=0)
    assert [replay.on_trial_result(*shown(step)) for step in (1, 2, 3)] == [None, Exploit(0), None]
    trial, _ = shown(3)
    assert replay.explore(trial, trial, 0) == {"v": 62}
    # Without a checkpoint the change waits; and of two at once, the later one counts.
    assert [replay.on_trial_result(*shown(9, saved=False)), replay.on_trial_result(*shown(12))] == [None, Exploit(0)]
    assert replay.explore(trial, trial, 0) == {"v": 93}
    assert replay.on_trial_result(*shown(13)) is None


def test_a_trial_that_begins_otherwise_is_refused() -> None:
    replay = PopulationBasedTrainingReplay(policy=TRIALS, trial=2)
    rehearsal = SchedulerRehearsal(replay, Objective("s", "max"))
    assert rehearsal.add({"v": 10, "other": 1}) == 0
    with pytest.raises(
        ConfigurationError, match=r"trial 1 has another 'v' than .* try_first=\[replay\.first\] and max_trials=1"
    ):
        rehearsal.add({"v": 11})


def test_the_plan() -> None:
    replay = PopulationBasedTrainingReplay(policy=TRIALS, trial=2)
    assert replay.plan() == "replay of trial 2: 1 change of values\n  at first: v=10\n  after step 11: v=77"
    assert replay.settings() == {"trial": 2, "schedule": [[0, {"v": 10}], [11, {"v": 77}]]}


@pytest.mark.parametrize(
    ("policy", "trial", "said"),
    [
        ("runs/x", 0, r"policy=\.\.\.\) takes a Result, or its trials, not 'runs/x'"),
        ({0: 1}, 0, r"takes a Result, or its trials"),
        (TRIALS, 3, r"trial=3\) is none: there are 3 trials"),
        (TRIALS, None, r"has no best trial: say which one with trial="),
    ],
)
def test_what_cannot_be_repeated_is_refused(policy: Any, trial: int | None, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        PopulationBasedTrainingReplay(policy=policy, trial=trial)
