"""Targets, plateaus and combinations: when they say that it is enough, and that they know it again when a search is resumed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

import asynctune as at
from asynctune.errors import ConfigurationError
from asynctune.objective import Objective, Objectives
from asynctune.records import Report, Reports, State, TrialView
from asynctune.stoppers import (
    MaxReports,
    MaxSteps,
    NoImprovement,
    SearchPlateau,
    SearchTarget,
    TimeBudget,
    TrialPlateau,
    TrialTarget,
    all_of,
    any_of,
    ready,
    stopper_of,
)
from asynctune.views import SearchView

LOSS, SCORE = Objective("loss", "min"), Objective("score", "max")
NAN = math.nan


def curve(*losses: float, name: str = "loss") -> TrialView:
    """A trial that has reported these."""
    reports = [Report(step, {name: loss}, at=0.0, launch=1) for step, loss in enumerate(losses, start=1)]
    return TrialView(id=3, state=State.RUNNING, values={}, step=len(losses), reports=Reports(reports))


def said(stopper: Any, trial: TrialView) -> str | None:
    """What it says of a trial's last report."""
    reason: str | None = stopper.should_stop_trial(trial, trial.reports[-1])
    return reason


def ended(*scores: float | None) -> list[TrialView]:
    """Trials that have ended with these scores; None for one that FAILED."""
    states = [State.FAILED if score is None else State.COMPLETED for score in scores]
    return [TrialView(id=i, state=states[i], values={}, score=score) for i, score in enumerate(scores)]


def look(at: float = 0.0) -> SearchView:
    return SearchView(at=at, objective=LOSS, trials={}, counts={}, best=None)


def when(stopper: Any, trials: Sequence[TrialView]) -> int | None:
    """After how many ends it ends the search."""
    for number, trial in enumerate(trials, start=1):
        stopper.on_trial_end(trial)
        if stopper.should_stop_search(look()) is not None:
            return number
    return None


# --------------------------------------------------------------------------------------------------------------- targets


@pytest.mark.parametrize(
    ("stopper", "objective", "metrics", "reason"),
    [
        (TrialTarget(0.1), LOSS, {"loss": 0.1}, "target: the objective has reached 0.1"),
        (TrialTarget(0.1), LOSS, {"loss": 0.11}, None),
        (TrialTarget(0.1), LOSS, {"loss": NAN}, None),
        (TrialTarget(0.1), LOSS, {"loss": -math.inf}, None),
        (TrialTarget(0.1), LOSS, {"other": 0.0}, None),
        (TrialTarget(9), SCORE, {"score": 9.5}, "target: the objective has reached 9"),
        (TrialTarget(0.9, metric="eval/f1", direction="max"), LOSS, {"eval/f1": 0.9}, "target: 'eval/f1' has reached 0.9"),
        (TrialTarget(0.9, metric="eval/f1", direction="min"), LOSS, {"eval/f1": 0.95}, None),
        (TrialTarget(0.9, metric="val_accuracy"), LOSS, {"val_accuracy": 0.95}, "target: 'val_accuracy' has reached 0.9"),
        (stopper_of({"loss": 0.1}), LOSS, {"loss": 5.0}, None),  # Ray Tune ends it
        (stopper_of({"loss": 0.1}), LOSS, {"loss": 0.05}, "target: 'loss' has reached 0.1"),
        (stopper_of({"loss": ("max", 7)}), LOSS, {"loss": 8.0}, "target: 'loss' has reached 7"),
        (stopper_of({"step": 1}), LOSS, {"loss": 8.0}, "1 steps"),
        (stopper_of({"f1": ["max", 0.5], "step": 2}), LOSS, {"f1": 0.6}, "target: 'f1' has reached 0.5"),
    ],
)
def test_a_trial_that_is_good_enough_is_ended(
    stopper: Any, objective: Objective, metrics: dict[str, float], reason: str | None
) -> None:
    known: Any = ready(stopper, objective)
    assert known.should_stop_trial(curve(1.0), Report(1, metrics, at=0.0, launch=1)) == reason


def test_the_search_is_ended_when_a_trial_reports_or_returns_the_target() -> None:
    reports: Any = ready(SearchTarget(0.1), LOSS)
    reports.on_trial_result(curve(0.2), Report(1, {"loss": 0.2}, at=0.0, launch=1))
    assert reports.should_stop_search(look()) is None
    reports.on_trial_result(curve(0.1), Report(1, {"loss": 0.1}, at=0.0, launch=1))
    assert reports.should_stop_search(look()) == "target: the objective has reached 0.1, in trial 3"
    assert when(ready(SearchTarget(0.1), LOSS), ended(0.5, None, 0.1)) == 3
    returns = evolve(ended(0.5)[0], metrics={"f1": 0.95})
    assert when(ready(SearchTarget(0.9, metric="f1", direction="max"), LOSS), [returns]) == 1


# -------------------------------------------------------------------------------------------------------------- plateaus


@pytest.mark.parametrize(
    ("options", "losses", "stops"),
    [
        ({}, [1.0, 1.0, 1.0], False),
        ({}, [1.0, 1.0, 1.0, 1.0], True),
        ({}, [5.0, 1.0, 1.01, 1.0, 1.01], True),
        ({}, [5.0, 1.0, 1.1, 1.0, 1.1], False),
        ({}, [1.0, 1.0, 1.0, NAN], False),
        ({}, [NAN, 1.0, 1.0, 1.0, 1.0], True),
        ({"grace": 6}, [1.0] * 5, False),
        ({"grace": 6}, [1.0] * 6, True),
        ({"window": 2, "grace": 0}, [3.0, 3.0], True),
        ({"std": 0, "window": 2, "grace": 0}, [3.0, 3.0], True),
        ({"std": 0.5, "window": 2, "grace": 0}, [3.0, 4.0], True),
        ({"threshold": 0.5}, [1.0] * 4, False),
        ({"threshold": 1.0}, [1.0] * 4, True),
        ({"metric": "gone", "direction": "min"}, [1.0] * 9, False),
    ],
)
def test_a_trial_that_gets_no_better_is_ended(options: dict[str, Any], losses: list[float], stops: bool) -> None:
    stopper = ready(TrialPlateau(**options), LOSS)
    assert (said(stopper, curve(*losses)) is not None) == stops


def test_the_threshold_knows_the_direction_and_reports_without_the_metric_do_not_count() -> None:
    stopper = ready(TrialPlateau(threshold=0.9), SCORE)
    assert said(stopper, curve(*[0.8] * 4, name="score")) is None
    assert said(stopper, curve(*[0.95] * 4, name="score")) == "plateau: the objective moves by no more than 0.01 in 4 reports"
    mixed = [*curve(1.0, 1.0, name="score").reports, *curve(2.0, 2.0, name="other").reports]
    assert said(stopper, evolve(curve(1.0), reports=Reports(mixed))) is None


@pytest.mark.parametrize(
    ("options", "scores", "after"),
    [
        ({"top": 3, "std": 0.01}, [1.0, 1.0, 1.0], 3),
        ({"top": 3, "std": 0.01}, [1.0, 2.0, 1.0, None, 1.0], 5),
        ({"top": 3, "std": 0.01, "patience": 2}, [1.0, 1.0, 1.0, 9.0, 9.0], 5),
        ({"top": 3, "std": 0.01, "patience": 2}, [1.0, 1.0, 1.0, 0.5, 9.0, 9.0], None),
        ({"top": 3}, [1.0, 1.0], None),
        ({}, [1.0] * 12, 10),
    ],
)
def test_a_search_whose_best_are_alike_is_ended(options: dict[str, Any], scores: list[float | None], after: int | None) -> None:
    assert when(ready(SearchPlateau(**options), LOSS), ended(*scores)) == after


@pytest.mark.parametrize(
    ("options", "scores", "after"),
    [
        ({"trials": 2}, [3.0, 2.0, 2.0, 2.5, 1.0], 4),
        ({"trials": 2}, [3.0, None, 2.0, None, None], 5),
        ({"trials": 1}, [3.0, 2.0, 1.0], None),
        ({"trials": 1, "least": 1.0}, [3.0, 1.5, 1.0], 3),
        ({"trials": 1}, [None], 1),
    ],
)
def test_a_search_without_a_new_best_is_ended(options: dict[str, Any], scores: list[float | None], after: int | None) -> None:
    assert when(ready(NoImprovement(**options), LOSS), ended(*scores)) == after


def test_many_reports_are_enough() -> None:
    stopper: Any = MaxReports(2)
    for reason in (None, "2 reports"):
        stopper.on_trial_result(curve(1.0), curve(1.0).reports[0])
        assert stopper.should_stop_search(look()) == reason


# ---------------------------------------------------------------------------------------------------------- combinations


def test_all_or_any_of_several_end_a_trial() -> None:
    both: Any = ready(all_of(MaxSteps(2), {"loss": 0.5}), LOSS)
    assert said(both, curve(0.1)) is None
    assert said(both, curve(0.1, 0.9)) is None
    assert said(both, curve(0.1, 0.4)) == "2 steps and target: 'loss' has reached 0.5"
    one: Any = ready(any_of(MaxSteps(2), lambda trial, report: report.metrics["loss"] > 5), LOSS)
    assert said(one, curve(0.1)) is None
    assert said(one, curve(6.0)) == "stopped by <lambda>()"
    assert said(one, curve(6.0, 6.0)) == "2 steps"


def test_all_of_several_end_the_search_and_are_asked_in_time() -> None:
    stopper: Any = ready(all_of(TimeBudget(60), any_of(TimeBudget(90), SearchTarget(0.1))), LOSS)
    assert stopper.deadline == 60
    assert stopper.should_stop_search(look(60)) is None
    assert stopper.deadline == 90
    assert stopper.should_stop_search(look(90)) == "time budget of 60 s and time budget of 90 s"
    stopper = ready(all_of(TimeBudget(60), any_of(TimeBudget(90), SearchTarget(0.1))), LOSS)
    for trial in ended(0.05):
        stopper.on_trial_end(trial)
    assert stopper.should_stop_search(look(61)) == "time budget of 60 s and target: the objective has reached 0.1, in trial 0"


# ------------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TrialTarget("low"), r"TrialTarget\(value=...\) takes a number of at least -inf, not 'low'"),  # type: ignore[arg-type]
        (lambda: TrialTarget(NAN), r"TrialTarget\(value=...\) takes"),
        (lambda: TrialTarget(1, metric=""), r"TrialTarget\(metric=...\) takes the name of a metric, or None for the objective"),
        (lambda: SearchTarget(1, metric="f1", direction="up"), r"takes 'min', 'max' or None, not 'up'"),  # type: ignore[arg-type]
        (lambda: SearchTarget(1, direction="max"), r"SearchTarget\(direction='max'\) says nothing without metric="),
        (lambda: TrialPlateau(window=1), r"TrialPlateau\(window=...\) takes an integer of at least 2, not 1"),
        (lambda: TrialPlateau(std=-1), r"TrialPlateau\(std=...\) takes a number of at least 0"),
        (lambda: SearchPlateau(top=1), r"SearchPlateau\(top=...\) takes an integer of at least 2"),
        (lambda: NoImprovement(trials=0), r"NoImprovement\(trials=...\) takes an integer of at least 1"),
        (lambda: MaxReports(0), r"MaxReports\(reports=...\) takes an integer of at least 1"),
        (lambda: all_of(MaxSteps(1)), r"all_of\(...\) takes at least two stoppers, not 1"),
        (lambda: any_of(MaxSteps(1), TimeBudget(1)), "all end trials, or all the search, and not both: MaxSteps, TimeBudget"),
        (lambda: all_of(MaxSteps(1), 5), "stop= takes stoppers such as MaxSteps"),
        (lambda: stopper_of({}), r"stop=\{\} ends nothing"),
        (lambda: stopper_of({"loss": "low"}), r"takes names and numbers, or \(\"min\", number\).*not 'loss': 'low'"),
        (lambda: stopper_of({"loss": ("up", 1)}), "not 'loss': \\('up', 1\\)"),
        (lambda: stopper_of({"loss": True}), "not 'loss': True"),
        (lambda: stopper_of({3: 1}), "not 3: 1"),
        (lambda: stopper_of({"training_iteration": 3}), "'step' for what is 'training_iteration' in Ray Tune"),
        (lambda: stopper_of({"step": 2.5}), r"MaxSteps\(steps=...\) takes an integer"),
        (
            lambda: ready({"f1": 0.5}, LOSS),
            r"whether 'f1' is better small or large .*\{'f1': \('min', value\)\}",
        ),
        (
            lambda: ready(TrialTarget(1), Objectives(["loss", "accuracy"])),
            "TrialTarget looks at one number, and .* several",
        ),
        (lambda: at.Search(len, objective=LOSS, max_trials=1, stop={"f1": 0.5}), "whether 'f1' is better"),
    ],
)
def test_what_cannot_work_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make()


# ------------------------------------------------------------------------------------------------------ in a real search


async def train(trial: at.AsyncTrial) -> float:
    await trial.report(loss=1.0)
    return float(trial.values["x"])


@pytest.mark.parametrize(
    ("stop", "trials"),
    [
        (NoImprovement(trials=3), 4),
        (SearchPlateau(top=4, std=1000.0), 4),
        (MaxReports(4), 4),
        (all_of(MaxReports(2), NoImprovement(trials=3)), 4),
    ],
    ids=["no improvement", "plateau", "reports", "all"],
)
async def test_what_was_counted_is_known_when_the_search_is_resumed(tmp_path: Path, stop: Any, trials: int) -> None:
    options: dict[str, Any] = {
        "objective": LOSS,
        "try_first": [{"x": x} for x in range(1, 10)],
        "executor": at.InlineExecutor(1),
        "storage": tmp_path / "search",
        "seed": 1,
        "stop": stop,
    }
    first = await at.search(train, {"x": at.Int(1, 99)}, max_trials=2, **{**options, "try_first": options["try_first"][:2]})
    assert len(first.trials) == 2
    result = await at.search(train, {"x": at.Int(1, 99)}, max_trials=50, **{**options, "try_first": ()})
    ended = [trial for trial in result.trials.values() if trial.state is State.COMPLETED]
    assert len(ended) in (trials, trials + 1)  # one may have begun


@pytest.mark.process
def test_a_time_budget_ends_who_never_listens(tmp_path: Path) -> None:
    def hang(trial: at.Trial) -> None:
        trial.report(loss=1.0)
        while True:
            pass

    result = at.run(
        hang,
        {"x": at.Int(1, 99)},
        objective=LOSS,
        max_trials=1,
        stop=TimeBudget(3.0),
        limits=at.Limits(grace=0.2),
        executor=at.LocalExecutor(1),
        storage=tmp_path / "search",
        display=False,
    )
    (trial,) = result.trials.values()
    assert (trial.state, trial.stop_reason, result.reason) == (State.COMPLETED, *["time budget of 3 s"] * 2)
