"""ASHA's promotion form, and its brackets."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynctune.objective import Objective
from asynctune.records import CONTINUE, PAUSE, State, Stop, TrialId
from asynctune.schedulers import ASHA
from asynctune.testing import SchedulerRehearsal


def rehearse(direction: Literal["min", "max"] = "max", **settings: Any) -> SchedulerRehearsal:
    return SchedulerRehearsal(ASHA(**{"max_steps": 27, "form": "promotion", **settings}), Objective("score", direction))


def come(rehearsal: SchedulerRehearsal, step: int, values: Sequence[float]) -> list[TrialId]:
    """A new trial for each value, which it reports at this step, and is set aside."""
    trials = [rehearsal.add() for _ in values]
    for trial, value in zip(trials, values, strict=True):
        assert rehearsal.report(trial, step, value) == PAUSE, trial
    return trials


# ------------------------------------------------------------------------------------------------------- algorithm 2


def test_the_best_third_go_on() -> None:
    rehearsal = rehearse()
    trials = come(rehearsal, 1, [3.0, 1.0])
    assert rehearsal.choose() == "NEW"  # a third of two is none
    come(rehearsal, 1, [2.0])
    assert rehearsal.choose() == trials[0]
    rehearsal.start(trials[0])
    assert rehearsal.choose() == "NEW"


def test_asking_commits_to_nothing() -> None:
    rehearsal = rehearse()
    come(rehearsal, 1, [3.0, 1.0, 2.0])
    assert [rehearsal.choose() for _ in range(5)] == [0] * 5


def test_a_trial_that_would_get_its_own_slot_back_goes_on_at_once() -> None:
    rehearsal = rehearse()
    come(rehearsal, 1, [1.0, 2.0])
    assert rehearsal.report(rehearsal.add(), 1, 3.0) == CONTINUE
    assert rehearsal.choose() == "NEW"
    # It was promoted: that of five trials one more is good enough changes nothing until there are six.
    come(rehearsal, 1, [2.5, 0.0])
    assert rehearsal.choose() == "NEW"
    come(rehearsal, 1, [0.0])
    assert rehearsal.choose() == 3


def test_the_highest_rung_goes_first() -> None:
    rehearsal = rehearse()
    come(rehearsal, 1, [1.0, 1.0])
    come(rehearsal, 3, [1.0, 2.0])
    # This one could go on from rung 1; at rung 3 there is one that is nearer to the end.
    trial = rehearsal.add()
    rehearsal.pause(rehearsal.add())
    assert rehearsal.report(trial, 3, 1.5) == PAUSE
    assert rehearsal.choose() == 3
    rehearsal.start(3)
    assert rehearsal.report(rehearsal.add(), 1, 9.0) == CONTINUE


def test_of_equals_the_first_goes_on() -> None:
    rehearsal = rehearse()
    come(rehearsal, 1, [1.0, 1.0, 1.0])
    assert rehearsal.choose() == 0


def test_one_that_has_ended_is_not_promoted_and_still_counts() -> None:
    rehearsal = rehearse()
    best, *_ = come(rehearsal, 1, [3.0, 1.0, 2.0])
    rehearsal.complete(best, stop_reason="stopped by the user")
    assert rehearsal.choose() == "NEW"
    come(rehearsal, 1, [0.0, 0.0, 0.0])
    assert rehearsal.choose() == 2


def test_the_last_rung_ends_them() -> None:
    rehearsal = rehearse(max_steps=3)
    come(rehearsal, 1, [1.0, 2.0])
    trial = rehearsal.add()
    assert rehearsal.report(trial, 1, 3.0) == CONTINUE
    assert rehearsal.report(trial, 3, 3.0) == Stop("ASHA: max_steps=3 reached")


def test_without_stop_last_they_are_left_alone() -> None:
    rehearsal = rehearse(max_steps=3, factor=3, stop_last=False)
    come(rehearsal, 3, [1.0, 2.0])
    trial = rehearsal.add()
    assert [rehearsal.report(trial, step, 3.0) for step in (3, 4, 99)] == [CONTINUE] * 3


def test_between_rungs_nothing_happens() -> None:
    rehearsal = rehearse(grace=2)
    trial = rehearsal.add()
    assert rehearsal.report(trial, 1, -99.0) == CONTINUE
    assert rehearsal.report(trial, 2, -99.0) == PAUSE


def test_a_trial_that_skips_rungs_is_ranked_at_the_highest_alone() -> None:
    # A known bug elsewhere: such a trial falls through to the rungs that it skipped, and is recorded there with a later score.
    rehearsal = rehearse()
    assert rehearsal.report(rehearsal.add(), 4, 99.0) == PAUSE
    come(rehearsal, 1, [1.0, 1.0])
    assert rehearsal.report(rehearsal.add(), 1, 1.5) == CONTINUE


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("direction", ["min", "max"])
@pytest.mark.fault(17)
def test_what_is_not_finite_is_never_promoted(value: float, direction: Literal["min", "max"]) -> None:
    rehearsal = rehearse(direction)
    for _ in range(4):
        trial = rehearsal.add()
        assert isinstance(rehearsal.report(trial, 1, value), Stop)
    rehearsal.growing = False
    assert rehearsal.choose() == "NEW"


def test_a_curve_that_explodes_is_not_promoted() -> None:
    rehearsal = rehearse("min")
    come(rehearsal, 1, [1e18, 0.5])
    assert rehearsal.report(rehearsal.add(), 1, 0.4) == CONTINUE
    come(rehearsal, 1, [1e18, 1.7e308])
    assert rehearsal.report(rehearsal.add(), 1, 1e18) == PAUSE
    assert rehearsal.choose() == 1


# ------------------------------------------------------------------------------------------------------------ the end


def test_when_nothing_can_come_somebody_is_trained_to_the_end() -> None:
    rehearsal = rehearse(max_steps=9)
    come(rehearsal, 1, [1.0, 2.0])
    assert rehearsal.choose() == "NEW"
    rehearsal.growing = False
    assert rehearsal.choose() == 1
    rehearsal.start(1)
    assert rehearsal.report(1, 3, 2.0) == PAUSE
    assert rehearsal.choose() == 1
    rehearsal.start(1)
    assert isinstance(rehearsal.report(1, 9, 2.0), Stop)
    assert rehearsal.choose() == "NEW"  # the other is let go
    assert rehearsal.live() == [0]


def test_while_something_runs_nobody_is_promoted_out_of_turn() -> None:
    rehearsal = rehearse()
    come(rehearsal, 1, [1.0, 2.0])
    runs = rehearsal.add()
    rehearsal.growing = False
    assert rehearsal.choose() == "NEW"
    rehearsal.fail(runs)
    assert rehearsal.choose() == 1


def test_more_can_come_after_all() -> None:
    rehearsal = rehearse()
    come(rehearsal, 1, [1.0, 2.0])
    rehearsal.growing = False
    rehearsal.start(1)
    rehearsal.growing = True
    come(rehearsal, 1, [0.0])
    assert rehearsal.choose() == "NEW"  # of three one goes on, and it has
    come(rehearsal, 1, [0.0, 0.0])
    assert rehearsal.report(rehearsal.add(), 1, 0.0) == PAUSE
    assert rehearsal.choose() == 0


# ----------------------------------------------------------------------------------------------- beside a plain model


@given(st.lists(st.integers(-6, 6), min_size=1, max_size=80), st.integers(2, 4), st.integers(1, 4))
def test_it_promotes_as_the_algorithm_written_down_plainly(values: list[int], factor: int, workers: int) -> None:
    """Algorithm 2 of the paper: get_job() for each free worker, with rungs that are sorted at each call."""
    scheduler = ASHA(max_steps=factor**3, factor=factor, form="promotion")
    rehearsal = SchedulerRehearsal(scheduler, Objective("score", "min"))
    rungs: list[list[tuple[float, int, TrialId]]] = [[], [], []]
    promoted: list[set[TrialId]] = [set(), set(), set()]
    where: dict[TrialId, int] = {}

    def get_job() -> TrialId | None:
        for index in (2, 1, 0):
            top = sorted(rungs[index])[: len(rungs[index]) // factor]
            for _, _, trial in top:
                if trial not in promoted[index]:
                    promoted[index].add(trial)
                    where[trial] = index + 1
                    return trial
        return None

    running: list[TrialId] = []
    for value in values:
        while len(running) < workers:
            if (job := get_job()) is not None:
                assert rehearsal.choose() == job
                rehearsal.start(job)
                running.append(job)
            else:
                assert rehearsal.choose() == "NEW"
                running.append(rehearsal.add())
                where[running[-1]] = 0
        trial = running.pop(0)
        index = where[trial]
        verdict = rehearsal.report(trial, factor**index, value)
        if index == 3:
            assert isinstance(verdict, Stop)
            continue
        rungs[index].append((value, len(rungs[index]), trial))
        if verdict == CONTINUE:
            assert get_job() == trial
            running.append(trial)
        else:
            assert verdict == PAUSE


# ------------------------------------------------------------------------------------------------------------ brackets


def test_each_trial_has_a_bracket_for_ever() -> None:
    # A known bug elsewhere: a trial that is added again after a failure draws another bracket.
    scheduler, again = ASHA(max_steps=81, brackets=4), ASHA(max_steps=81, brackets=4)
    assert [scheduler.bracket(trial) for trial in range(100)] == [again.bracket(trial) for trial in range(100)]


def test_the_shares_of_the_brackets() -> None:
    # With 4 rungs and factor 3: in proportion to 1/4, 1/9, 1/18 and 1/27.
    scheduler = ASHA(max_steps=81, brackets=4)
    counts = Counter(scheduler.bracket(trial) for trial in range(20_000))
    whole = 1 / 4 + 1 / 9 + 1 / 18 + 1 / 27
    for bracket, weight in enumerate((1 / 4, 1 / 9, 1 / 18, 1 / 27)):
        assert counts[bracket] / 20_000 == pytest.approx(weight / whole, abs=0.01)


@pytest.mark.parametrize("form", ["stopping", "promotion"])
def test_a_bracket_begins_at_a_rung_of_its_own(form: Literal["stopping", "promotion"]) -> None:
    rehearsal = rehearse(form=form, brackets=3)
    scheduler = rehearsal.scheduler
    assert isinstance(scheduler, ASHA)
    for trial in [rehearsal.add() for _ in range(30)]:
        for step in range(1, 10):
            if rehearsal.trials[trial].state is State.RUNNING:
                rehearsal.report(trial, step, float(-trial))
    # Each is worse than all before it: stopped, or set aside, at its first rung; but for the first of each bracket.
    for view in rehearsal.trials.values():
        first = {scheduler.bracket(trial): trial for trial in range(29, -1, -1)}
        if form == "promotion" or view.id not in first.values():
            assert view.step == 3 ** scheduler.bracket(view.id)


def test_brackets_do_not_judge_each_other() -> None:
    rehearsal = rehearse(form="stopping", brackets=2)
    scheduler = rehearsal.scheduler
    assert isinstance(scheduler, ASHA)
    trials = [rehearsal.add() for _ in range(40)]
    early = next(trial for trial in trials if scheduler.bracket(trial) == 0)
    late = next(trial for trial in trials if scheduler.bracket(trial) == 1)
    assert rehearsal.report(early, 3, 9.0) == CONTINUE
    assert rehearsal.report(late, 3, 1.0) == CONTINUE


# -------------------------------------------------------------------------------------------------------- what it says


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"max_steps": 27}, ("ASHA (promotion form): rungs 1, 3, 9;", "about 1/3 ", "about 3 of 27 steps")),
        (
            {"max_steps": 27, "brackets": 2},
            ("bracket 0: 66.7% of the trials, from step 1 on", "bracket 1: 33.3% of the trials, from step 3"),
        ),
        ({"max_steps": 5, "grace": 5}, ("ASHA (promotion form): no rung below max_steps",)),
    ],
)
def test_the_plan(settings: dict[str, Any], said: Sequence[str]) -> None:
    plan = ASHA(**settings, form="promotion").plan()
    assert [words for words in said if words not in plan] == []
