"""The rules that are Optuna's, beside Optuna: the same reports, in the same order, and the same trials are stopped."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal

import optuna
import pytest

from asynctune.errors import ConfigurationError
from asynctune.objective import Objective
from asynctune.policies import Resources
from asynctune.records import CONTINUE, State, Stop, TrialId
from asynctune.schedulers import (
    ASHA,
    HyperBand,
    MedianStopping,
    Patience,
    Percentile,
    ResourceChanging,
    Scheduler,
    Threshold,
    Wilcoxon,
)
from asynctune.seeds import generator
from asynctune.testing import SchedulerRehearsal

Direction = Literal["min", "max"]


class Both:
    """One trial of ours, and one of Optuna's."""

    def __init__(self, rehearsal: SchedulerRehearsal, study: optuna.Study) -> None:
        self.rehearsal, self.study = rehearsal, study
        self.ours = rehearsal.add()
        self.theirs = study.ask()

    def report(self, step: int, value: float) -> bool:
        """Whether both stop it."""
        stopped = isinstance(self.rehearsal.report(self.ours, step, value), Stop)
        self.theirs.report(value, step)
        assert stopped == self.theirs.should_prune(), f"trial {self.ours} at step {step}"
        if stopped:
            self.study.tell(self.theirs, state=optuna.trial.TrialState.PRUNED)
        return stopped

    def end(self, score: float) -> None:
        self.rehearsal.complete(self.ours)
        self.study.tell(self.theirs, score)


def beside(ours: Scheduler, theirs: optuna.pruners.BasePruner, direction: Direction, seed: int, *, steps: int = 12) -> int:
    """Play some trials on both; returns how many were stopped."""
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="minimize" if direction == "min" else "maximize", pruner=theirs)
    rehearsal = SchedulerRehearsal(ours, Objective("score", direction))
    luck, stopped = generator("beside", seed), 0
    for _ in range(30):
        trial, level, slope = Both(rehearsal, study), luck.gauss(0, 1), luck.gauss(0, 0.2)
        step, value = 0, 0.0
        while (step := step + luck.choice((1, 1, 1, 2, 4))) <= steps:
            value = round(8 * (level + slope * step + luck.gauss(0, 0.3))) / 8  # so that there are ties, and no rounding errors
            if trial.report(step, value):
                stopped += 1
                break
        else:
            trial.end(value)
    return stopped


CASES: Sequence[tuple[Callable[[], Scheduler], Callable[[], optuna.pruners.BasePruner]]] = [
    (Percentile, lambda: optuna.pruners.PercentilePruner(25.0, n_warmup_steps=1)),
    (
        lambda: Percentile(percentile=60, startup_trials=2, grace=3, interval=2, min_samples=2),
        lambda: optuna.pruners.PercentilePruner(60.0, 2, n_warmup_steps=3, interval_steps=2, n_min_trials=2),
    ),
    (lambda: Percentile(percentile=50), lambda: optuna.pruners.MedianPruner(n_warmup_steps=1)),
    (lambda: Percentile(percentile=33.3), lambda: optuna.pruners.PercentilePruner(33.3, n_warmup_steps=1)),
    (lambda: Percentile(percentile=0), lambda: optuna.pruners.PercentilePruner(0.0, n_warmup_steps=1)),
    (lambda: Percentile(percentile=100), lambda: optuna.pruners.PercentilePruner(100.0, n_warmup_steps=1)),
    (lambda: Threshold(lower=-1, upper=1), lambda: optuna.pruners.ThresholdPruner(-1.0, 1.0, n_warmup_steps=1)),
    (
        lambda: Threshold(upper=0.5, grace=2, interval=3),
        lambda: optuna.pruners.ThresholdPruner(upper=0.5, n_warmup_steps=2, interval_steps=3),
    ),
    (lambda: Patience(patience=1), lambda: optuna.pruners.PatientPruner(None, 1)),
    (lambda: Patience(patience=3, min_delta=0.25), lambda: optuna.pruners.PatientPruner(None, 3, 0.25)),
    (lambda: Patience(patience=0), lambda: optuna.pruners.PatientPruner(None, 0)),
    (
        lambda: Patience(patience=1, inside=Percentile(percentile=50)),
        lambda: optuna.pruners.PatientPruner(optuna.pruners.MedianPruner(n_warmup_steps=1), 1),
    ),
    (Wilcoxon, optuna.pruners.WilcoxonPruner),
    (
        lambda: Wilcoxon(p_threshold=0.3, startup_steps=4),
        lambda: optuna.pruners.WilcoxonPruner(p_threshold=0.3, n_startup_steps=4),
    ),
]


@pytest.mark.parametrize(("ours", "theirs"), CASES)
@pytest.mark.parametrize("direction", ["min", "max"])
def test_the_same_trials_are_stopped(
    ours: Callable[[], Scheduler], theirs: Callable[[], optuna.pruners.BasePruner], direction: Direction
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stopped = [beside(ours(), theirs(), direction, seed) for seed in range(3)]
    assert sum(stopped) > 0 or "100" in repr(ours())


# ---------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Percentile(percentile=101), r"Percentile\(percentile=.*at most 100, not 101"),
        (lambda: Percentile(percentile=-1), r"percentile=.*of at least 0.*not -1"),
        (lambda: Percentile(startup_trials=-1), r"startup_trials=.*not -1"),
        (lambda: Percentile(grace=0), r"grace=.*not 0"),
        (lambda: Percentile(interval=0), r"interval=.*not 0"),
        (lambda: Percentile(min_samples=0), r"min_samples=.*not 0"),
        (Threshold, r"Threshold\(\) stops nothing: give lower=, upper=, or both"),
        (lambda: Threshold(lower=2, upper=1), r"no number is between them"),
        (lambda: Threshold(lower=math.nan), r"lower=.*not nan"),
        (lambda: Threshold(upper=math.inf), r"upper=.*not inf"),
        (lambda: Patience(patience=-1), r"patience=.*not -1"),
        (lambda: Patience(patience=1, min_delta=-0.1), r"min_delta=.*not -0\.1"),
        (lambda: Patience(patience=1, inside="ASHA"), r"inside=.*takes a scheduler or None, not 'ASHA'"),  # type: ignore[arg-type]
        (lambda: Patience(patience=1, inside=HyperBand(max_steps=9)), r"HyperBand.*decides what runs next.*only stops trials"),
        (lambda: Patience(patience=1, inside=MedianStopping(hard_stop=False)), r"MedianStopping.*decides what runs next"),
        (
            lambda: Patience(patience=1, inside=ResourceChanging(total=Resources(cpu=8), trials=4)),
            r"ResourceChanging.*changes their resources.*only stops trials",
        ),
        (lambda: Wilcoxon(p_threshold=0), r"p_threshold=.*above 0.*not 0"),
        (lambda: Wilcoxon(startup_steps=1), r"startup_steps=.*not 1"),
    ],
)
def test_what_makes_no_rule_is_refused(make: Callable[[], Scheduler], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        make()


@pytest.mark.parametrize(
    ("scheduler", "said"),
    [
        (
            Percentile(),
            "from step 1 on, at each report, once 5 trials ended, a trial is stopped when its best is worse than the",
        ),
        (Percentile(interval=3), "at one report in 3 steps"),
        (
            Threshold(lower=0, upper=9.5),
            "from step 1 on a trial is stopped whose objective is below 0, above 9.5, or not finite",
        ),
        (Threshold(lower=0, interval=2), "at one report in 2 steps,"),
        (Patience(patience=0), "when the best of its last 1 report is worse than its best before"),
        (Patience(patience=2, min_delta=0.1), "the best of its last 3 reports is worse than its best before, by more than 0.1"),
        (
            Patience(patience=2, inside=ASHA(max_steps=9)),
            "only when the best of its last 3 reports is worse than its best before",
        ),
        (Patience(patience=2, inside=ASHA(max_steps=9)), "\nASHA (stopping form): rungs 1, 3;"),
        (Wilcoxon(), "from 2 folds on, a trial is stopped that is worse than the best one (by the signed-rank test, p < 0.1)"),
    ],
)
def test_plans(scheduler: Scheduler, said: str) -> None:
    assert said in scheduler.plan()


# --------------------------------------------------------------------------------------------------------- not finite


def rehearse(scheduler: Scheduler, direction: Direction = "max") -> SchedulerRehearsal:
    return SchedulerRehearsal(scheduler, Objective("score", direction))


def curve(rehearsal: SchedulerRehearsal, values: Sequence[float]) -> TrialId:
    trial = rehearsal.add()
    for step, value in enumerate(values, 1):
        if rehearsal.trials[trial].state is State.RUNNING:
            rehearsal.report(trial, step, value)
    return trial


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("direction", ["min", "max"])
@pytest.mark.parametrize(
    "make", [lambda: Percentile(startup_trials=1), lambda: Threshold(lower=-99), lambda: Patience(patience=0), Wilcoxon]
)
@pytest.mark.fault(17)
def test_a_trial_that_has_nothing_finite_is_stopped(make: Callable[[], Scheduler], direction: Direction, value: float) -> None:
    rehearsal = rehearse(make(), direction)
    rehearsal.complete(curve(rehearsal, [1.0, 1.0]))
    trial = curve(rehearsal, [value, value, value])
    assert rehearsal.trials[trial].state is State.COMPLETED
    assert rehearsal.trials[trial].score is None


# ---------------------------------------------------------------------------------------------------------- patience


def test_patience_reasons() -> None:
    rehearsal = rehearse(Patience(patience=1))
    trial = curve(rehearsal, [1.0, 5.0, 4.0, 4.5, 9.0])
    assert rehearsal.trials[trial].stop_reason == "patience: nothing better than 5 in the last 2 reports"


def test_inside_patience_asha_waits_for_those_who_get_better() -> None:
    rehearsal = rehearse(Patience(patience=1, inside=ASHA(max_steps=9)))
    curve(rehearsal, [9.0] * 8)
    better = curve(rehearsal, [1.0, 2.0, 3.0, 4.0])
    assert rehearsal.trials[better].state is State.RUNNING
    stalled = curve(rehearsal, [3.0, 2.0, 1.0])
    assert rehearsal.trials[stalled].step == 3
    assert str(rehearsal.trials[stalled].stop_reason).startswith("ASHA: 1 at step 3 is not among the best 1/3 of rung 3")


def test_patience_does_not_outlast_max_steps() -> None:
    rehearsal = rehearse(Patience(patience=1, inside=ASHA(max_steps=9)))
    trial = curve(rehearsal, [float(step) for step in range(1, 20)])
    assert rehearsal.trials[trial].stop_reason == "ASHA: max_steps=9 reached"


def test_what_others_inside_say_of_others_is_obeyed() -> None:
    class Elder(Scheduler):
        """Ends the first trial when the second reports."""

        def on_trial_result(self, trial: Any, report: Any) -> Any:
            return {0: Stop("the next is here"), trial.id: Stop("and goes")} if trial.id else None

    rehearsal = rehearse(Patience(patience=5, inside=Elder()))
    curve(rehearsal, [1.0])
    assert rehearsal.report(rehearsal.add(), 1, 1.0) == CONTINUE
    assert rehearsal.live() == [1]


# ---------------------------------------------------------------------------------------------------------- Wilcoxon


def test_wilcoxon_compares_with_the_best_that_came_to_its_end() -> None:
    rehearsal = rehearse(Wilcoxon(), "min")
    rehearsal.complete(curve(rehearsal, [1.0] * 8))
    rehearsal.complete(curve(rehearsal, [0.1] * 8), stop_reason="stopped by the user")
    trial = curve(rehearsal, [1.5, 1.6, 1.7, 1.8, 1.9])
    assert rehearsal.trials[trial].stop_reason == "Wilcoxon: worse than the best trial on 4 folds that both have (p = 0.0625)"
    better = curve(rehearsal, [1.5, 0.1, 0.1, 1.6, 1.9])
    assert rehearsal.trials[better].state is State.RUNNING


# ------------------------------------------------------------------------------------------------ the median, softly


def test_a_soft_stop_sets_aside_once() -> None:
    # Elsewhere a trial that was set aside is set aside again at each report, and one that was stopped and reports once more is
    # an AssertionError.
    rehearsal = rehearse(MedianStopping(min_samples=1, hard_stop=False))
    curve(rehearsal, [5.0] * 3)
    behind = [curve(rehearsal, [1.0]), curve(rehearsal, [2.0])]
    assert rehearsal.live(State.PENDING) == behind
    assert rehearsal.choose() == "NEW"
    rehearsal.growing = False
    assert rehearsal.choose() == behind[1]  # the better one, though something else runs
    rehearsal.start(behind[1])
    assert rehearsal.choose() == behind[0]
    assert [rehearsal.report(behind[1], step, 0.0) for step in (2, 3)] == [CONTINUE] * 2


def test_a_soft_stop_ends_what_has_nothing_finite() -> None:
    rehearsal = rehearse(MedianStopping(min_samples=1, hard_stop=False))
    curve(rehearsal, [5.0])
    assert isinstance(rehearsal.report(rehearsal.add(), 1, math.nan), Stop)
    assert "set aside until no new trial can come" in MedianStopping(hard_stop=False).plan()
