"""The median stopping rule: what is compared with what, and at which cost."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynctune.errors import ConfigurationError
from asynctune.objective import Objective
from asynctune.records import CONTINUE, Stop, TrialId
from asynctune.schedulers import MedianStopping
from asynctune.testing import SchedulerRehearsal


def rehearse(direction: Literal["min", "max"] = "max", **settings: Any) -> SchedulerRehearsal:
    return SchedulerRehearsal(MedianStopping(**settings), Objective("score", direction))


def curve(rehearsal: SchedulerRehearsal, values: Iterable[float], *, steps: Iterable[int] | None = None) -> TrialId:
    """A trial that reports these values, from step 1 on or at these steps, without being stopped."""
    trial = rehearsal.add()
    for step, value in zip(steps or range(1, 10**6), values, strict=False):
        assert rehearsal.report(trial, step, value) == CONTINUE
    return trial


def stops(rehearsal: SchedulerRehearsal, trial: TrialId, step: int, value: float) -> bool:
    return isinstance(rehearsal.report(trial, step, value), Stop)


@pytest.mark.parametrize("name", ["grace", "min_samples"])
@pytest.mark.parametrize("bad", [0, -1, 1.0, True, None, "1"])
def test_what_makes_no_rule_is_refused(name: str, bad: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"MedianStopping\({name}=\.\.\.\) takes an integer of at least 1, not"):
        MedianStopping(**{name: bad})


def test_plan_and_settings() -> None:
    assert MedianStopping().settings() == {"grace": 1, "min_samples": 3, "hard_stop": True}
    assert "from step 1 on, wherever at least 3 other trials have been," in MedianStopping().plan()
    assert "from step 5 on, wherever at least 1 other trial has been," in MedianStopping(grace=5, min_samples=1).plan()
    assert repr(MedianStopping()) == "MedianStopping(grace=1, min_samples=3, hard_stop=True)"


# -------------------------------------------------------------------------------------------------- other people's tests
# The scenarios of the suite in which Ray Tune tests its rule, by meaning; their steps count from 0, ours from 1. There a trial
# that ends reports once more, with a result that counts twice; here it reports, and ends.


def with_two_curves(**settings: int) -> tuple[SchedulerRehearsal, TrialId, TrialId]:
    """One trial that rises from 0 to 900 in ten steps, and one that is at 450 for five."""
    rehearsal = rehearse("max", **{"min_samples": 1, **settings})
    rising = curve(rehearsal, range(0, 901, 100))
    return rehearsal, rising, curve(rehearsal, [450.0] * 5)


def test_ray_constant_performance() -> None:
    rehearsal, rising, constant = with_two_curves()
    assert not stops(rehearsal, rising, 11, 1000.0)
    rehearsal.complete(rising)
    assert [stops(rehearsal, constant, step, value) for step, value in ((6, 450.0), (7, 0.0), (11, 450.0))] == [
        False,
        False,
        True,
    ]
    assert rehearsal.trials[constant].stop_reason == (
        "median stopping: its best by step 11, 450, is worse than 500, the median of the averages of 1 other trial"
    )


def test_ray_only_those_who_have_come_so_far() -> None:
    rehearsal, rising, constant = with_two_curves()
    assert not stops(rehearsal, constant, 100, 0.0)
    assert not stops(rehearsal, rising, 101, 1000.0)
    rehearsal.complete(rising)
    assert stops(rehearsal, constant, 101, 0.0)


def test_ray_grace_period() -> None:
    rehearsal, _, _ = with_two_curves(grace=3)
    trial = rehearsal.add()
    assert [stops(rehearsal, trial, step, 10.0) for step in (1, 2, 3)] == [False, False, True]


def test_ray_min_samples() -> None:
    rehearsal, rising, constant = with_two_curves(min_samples=2)
    rehearsal.complete(rising)
    assert not stops(rehearsal, rehearsal.add(), 6, 10.0)
    assert not stops(rehearsal, constant, 6, 1000.0)
    rehearsal.complete(constant)
    assert stops(rehearsal, rehearsal.add(), 6, 10.0)


def test_ray_uses_the_median() -> None:
    rehearsal, _, _ = with_two_curves()
    trial = rehearsal.add()
    # By step 2 the two have averaged 50 and 450, by step 3 100 and 450.
    assert [stops(rehearsal, trial, step, 260.0) for step in (2, 3)] == [False, True]


def test_ray_min_is_max_upside_down() -> None:
    rehearsal = rehearse("min", min_samples=1)
    curve(rehearsal, range(0, -901, -100))
    curve(rehearsal, [-450.0] * 5)
    trial = rehearsal.add()
    assert [stops(rehearsal, trial, step, -260.0) for step in (2, 3)] == [False, True]
    assert str(rehearsal.trials[trial].stop_reason).startswith("median stopping: its best by step 3, -260, is worse than -275,")


# ------------------------------------------------------------------------------------------------------------ the rule


def test_the_best_so_far_is_what_counts() -> None:
    rehearsal = rehearse()
    for _ in range(3):
        curve(rehearsal, [5.0] * 9)
    trial = curve(rehearsal, [6.0, *[0.0] * 7])
    assert not stops(rehearsal, trial, 9, -99.0)


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e-300, 123456.789])
@pytest.mark.parametrize("direction", ["min", "max"])
def test_equals_are_not_stopped(value: float, direction: Literal["min", "max"]) -> None:
    rehearsal = rehearse(direction)
    for _ in range(10):
        curve(rehearsal, [value] * 50)


def test_a_trial_is_not_compared_with_itself() -> None:
    rehearsal = rehearse(min_samples=1)
    curve(rehearsal, range(100, 0, -1))


@pytest.mark.parametrize("end", ["complete", "fail", "nothing"])
def test_those_who_have_ended_count_like_those_who_run(end: str) -> None:
    rehearsal = rehearse()
    for _ in range(3):
        trial = curve(rehearsal, [5.0, 5.0])
        if end != "nothing":
            getattr(rehearsal, end)(trial)
    assert stops(rehearsal, rehearsal.add(), 2, 4.0)


def test_the_end_of_a_trial_adds_nothing() -> None:
    rehearsal = rehearse(min_samples=1)
    rehearsal.complete(curve(rehearsal, [1.0, 3.0]))
    trial = rehearsal.add()
    # The average is 2; were the last report counted again with the result, it would be 2.33.
    assert not stops(rehearsal, trial, 2, 2.0)
    assert stops(rehearsal, rehearsal.add(), 2, 1.99)


# ------------------------------------------------------------------------------------------------------ uneven steps


@pytest.mark.parametrize(
    ("steps", "at", "value", "stopped"),
    [
        # The other trial averages 10 by step 2, and 20 by step 6.
        ((2, 6), 1, 0.0, False),  # it had reported nothing by step 1
        ((2, 6), 2, 9.0, True),
        ((2, 6), 2, 10.0, False),
        ((2, 6), 4, 9.0, True),  # by step 4 it was where step 2 had left it
        ((2, 6), 4, 10.0, False),
        ((2, 6), 6, 19.0, True),
        ((2, 6), 6, 20.0, False),
        ((2, 6), 7, 0.0, False),  # it has not come so far
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_a_step_that_was_skipped(steps: Sequence[int], at: int, value: float, stopped: bool, first: bool) -> None:
    rehearsal = rehearse(min_samples=1)
    if not first:
        # Somebody has been at that step before, so that it is known when the other trial passes it; and had nothing to show.
        rehearsal.fail(curve(rehearsal, [math.nan], steps=[at]))
    other = curve(rehearsal, (10.0, 30.0), steps=steps)
    rehearsal.complete(other)
    trial = rehearsal.add()
    assert stops(rehearsal, trial, at, value) == stopped


def test_steps_far_apart_cost_nothing() -> None:
    rehearsal = rehearse(min_samples=1)
    curve(rehearsal, [10.0, 30.0], steps=[10**9, 10**15])
    assert stops(rehearsal, rehearsal.add(), 10**12, 9.0)


# ------------------------------------------------------------------------------------------------------- not a number


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("direction", ["min", "max"])
def test_a_trial_with_nothing_finite_is_worse_than_all(value: float, direction: Literal["min", "max"]) -> None:
    rehearsal = rehearse(direction)
    for _ in range(3):
        curve(rehearsal, [5.0])
    trial = rehearsal.add()
    assert stops(rehearsal, trial, 1, value)
    assert rehearsal.trials[trial].stop_reason == (
        "median stopping: its best by step 1, nothing finite, is worse than 5, the median of the averages of 3 other trials"
    )


def test_one_bad_step_does_not_void_a_curve() -> None:
    rehearsal = rehearse("min")
    for _ in range(3):
        curve(rehearsal, [math.nan, 5.0, 5.0])
    assert not stops(rehearsal, rehearsal.add(), 3, 5.0)
    assert stops(rehearsal, rehearsal.add(), 3, 5.1)


def test_among_those_with_nothing_finite_none_is_stopped() -> None:
    rehearsal = rehearse()
    for _ in range(5):
        curve(rehearsal, [math.nan] * 3)


def test_the_ends_of_the_floats() -> None:
    rehearsal = rehearse("min", min_samples=1)
    curve(rehearsal, [1.7e308, -1.7e308, 1.7e308, -1.7e308])
    assert [stops(rehearsal, rehearsal.add(), step, 1.7e308) for step in (1, 2)] == [False, True]
    assert not stops(rehearsal, rehearsal.add(), 2, 0.0)


# ------------------------------------------------------------------------------------------------- beside a plain model


class Plain:
    """The rule written down without a thought for cost: everything is kept, and looked at again each time."""

    def __init__(self, grace: int, min_samples: int) -> None:
        self.grace, self.min_samples = grace, min_samples
        self.reports: dict[TrialId, list[tuple[int, float]]] = {}

    def stops(self, trial: TrialId, step: int, value: float) -> bool:
        own = self.reports.setdefault(trial, [])
        others = [reports for key, reports in self.reports.items() if key != trial and reports and reports[-1][0] >= step]
        averages = [self.average(reports, step) for reports in others if reports[0][0] <= step]
        own.append((step, value))
        best = max((value for _, value in own if math.isfinite(value)), default=-math.inf)
        if step < self.grace or len(averages) < self.min_samples:
            return False
        finite = [average for average in averages if math.isfinite(average)]
        if len(averages) % 2 == 0 and len(finite) == len(averages) // 2:
            return best < min(finite) - 1e-9  # half of them have nothing: no halfway is gone to meet them
        return best < median(averages) - 1e-9

    @staticmethod
    def average(reports: list[tuple[int, float]], step: int) -> float:
        finite = [value for at, value in reports if at <= step and math.isfinite(value)]
        return sum(finite) / len(finite) if finite else -math.inf


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(1, 4), st.one_of(st.integers(-5, 5).map(float), st.just(math.nan))),
        max_size=80,
    ),
    st.integers(1, 3),
    st.integers(1, 3),
)
def test_it_judges_as_the_rule_written_down_plainly(
    reports: list[tuple[int, int, float]], grace: int, min_samples: int
) -> None:
    rehearsal, plain = rehearse(grace=grace, min_samples=min_samples), Plain(grace, min_samples)
    slots = [rehearsal.add() for _ in range(6)]
    for slot, pace, value in reports:
        trial, step = slots[slot], rehearsal.trials[slots[slot]].step + pace
        stopped = stops(rehearsal, trial, step, value)
        assert stopped == plain.stops(trial, step, value)
        if stopped:
            slots[slot] = rehearsal.add()
