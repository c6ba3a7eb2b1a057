"""When it is enough."""

from __future__ import annotations

import copy
import functools
import math
import pickle
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from asynctune.errors import ConfigurationError
from asynctune.objective import Objective
from asynctune.records import Report, State, TrialView
from asynctune.stoppers import FunctionStopper, MaxSteps, SearchStopper, Stopper, TimeBudget, TrialStopper, as_stopper
from asynctune.views import SearchView


def report(step: int, **metrics: float) -> Report:
    return Report(step, metrics, at=0.0, launch=1)


def trial(step: int = 0) -> TrialView:
    return TrialView(id=3, state=State.RUNNING, values={}, step=step)


def search(at: float) -> SearchView:
    return SearchView(at=at, objective=Objective("loss", "min"), trials={}, counts={}, best=None)


@pytest.mark.parametrize(
    ("steps", "step", "reason"),
    [(10, 1, None), (10, 9, None), (10, 10, "10 steps"), (10, 11, "10 steps")],
)
def test_max_steps(steps: int, step: int, reason: str | None) -> None:
    assert MaxSteps(steps).should_stop_trial(trial(step), report(step)) == reason


@pytest.mark.parametrize(
    ("seconds", "at", "reason"),
    [
        (60, 0, None),
        (60, 40, None),
        (60, 59.999, None),
        (60, 60, "time budget of 60 s"),
        (60, 62, "time budget of 60 s"),
        (0.5, 0.5, "time budget of 0.5 s"),
        (math.inf, 1e9, None),
    ],
)
def test_time_budget(seconds: float, at: float, reason: str | None) -> None:
    budget = TimeBudget(seconds)
    assert budget.deadline == seconds
    assert budget.should_stop_search(search(at)) == reason


@pytest.mark.parametrize("bad", [0, -1, True, None, "10", 1.5, math.nan])
def test_max_steps_takes_an_integer_of_at_least_one(bad: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"MaxSteps\(steps=\.\.\.\) takes an integer of at least 1, not"):
        MaxSteps(bad)


@pytest.mark.parametrize("bad", [0, -1, True, None, "1 h", math.nan, timedelta(hours=1)])
def test_time_budget_takes_seconds(bad: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"TimeBudget\(seconds=\.\.\.\) takes a number above 0, not"):
        TimeBudget(bad)


def diverged(trial: TrialView, report: Report) -> bool:
    return report.metrics["loss"] > 10


class Patience:
    def __call__(self, trial: TrialView, report: Report) -> int:
        return trial.step


@pytest.mark.parametrize(
    ("function", "told", "reason"),
    [
        (diverged, report(1, loss=11.0), "stopped by diverged()"),
        (diverged, report(1, loss=9.0), None),
        (lambda trial, report: True, report(1), "stopped by <lambda>()"),
        (lambda *both: None, report(1), None),
        (functools.partial(lambda limit, trial, report: report.step >= limit, 5), report(5), "stopped by partial()"),
        (Patience(), report(1), None),
    ],
)
def test_a_function_is_a_stopper(function: Callable[..., Any], told: Report, reason: str | None) -> None:
    stopper = as_stopper(function)
    assert isinstance(stopper, FunctionStopper)
    assert stopper.should_stop_trial(trial(0), told) == reason


def test_a_function_without_a_signature_is_taken_at_its_word() -> None:
    function: Any = math.hypot
    assert as_stopper(function) == FunctionStopper(function)


@pytest.mark.parametrize("function", [print, max, len])
def test_a_builtin_is_no_stopper(function: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"stop= takes functions of \(trial, report\)"):
        as_stopper(function)


class Both:
    """Ends trials and the search; with a deadline that is a plain attribute."""

    deadline: float | None = None

    def should_stop_trial(self, trial: TrialView, report: Report) -> str | None:
        return "trial"

    def should_stop_search(self, search: SearchView) -> str | None:
        return "search"


@pytest.mark.parametrize("stopper", [MaxSteps(3), TimeBudget(3), FunctionStopper(diverged), Both()])
def test_a_stopper_is_itself(stopper: Stopper) -> None:
    assert as_stopper(stopper) is stopper


def test_which_question_a_stopper_answers() -> None:
    stoppers: Sequence[Stopper] = [MaxSteps(3), TimeBudget(3), FunctionStopper(diverged), Both()]
    assert [isinstance(stopper, TrialStopper) for stopper in stoppers] == [True, False, True, True]
    assert [isinstance(stopper, SearchStopper) for stopper in stoppers] == [False, True, False, True]


@pytest.mark.parametrize("stopper", [MaxSteps(3), TimeBudget(3), FunctionStopper(diverged)])
def test_a_stopper_can_be_copied(stopper: Stopper) -> None:
    assert copy.deepcopy(stopper) == stopper
    assert pickle.loads(pickle.dumps(stopper)) == stopper


async def waits(trial: TrialView, report: Report) -> bool:
    return False


class WaitsToo:
    async def __call__(self, trial: TrialView, report: Report) -> bool:
        return False


class NoDeadline:
    def should_stop_search(self, search: SearchView) -> str | None:
        return None


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (MaxSteps, r"not the class MaxSteps: write MaxSteps\(\.\.\.\)"),
        (None, "not None"),
        (100, "not 100"),
        ("10 minutes", "not '10 minutes'"),
        ({"loss": 0.1}, "not {'loss': 0.1}"),
        ([MaxSteps(1)], r"not \[MaxSteps"),
        (timedelta(minutes=10), "not datetime.timedelta"),
        (waits, "waits .* is async"),
        (WaitsToo(), "WaitsToo .* is async"),
        (functools.partial(waits), "is async"),
        (lambda report: True, r"functions of \(trial, report\), not of \(report\)"),
        (lambda trial, report, more: True, r"not of \(trial, report, more\)"),
        (lambda *, trial, report: True, r"not of \(\*, trial, report\)"),
        (NoDeadline(), r"NoDeadline has should_stop_search\(\) and no deadline"),
    ],
)
def test_what_is_no_stopper_is_refused(bad: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        as_stopper(bad)
