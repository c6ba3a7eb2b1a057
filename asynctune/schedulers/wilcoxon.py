"""Wilcoxon: for trials that are scored fold by fold; one that is surely worse than the best is not tried on the rest."""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

from attrs import define, field

from asynctune.errors import ConfigurationError
from asynctune.records import Report, Stop, TrialId, TrialView, Verdicts
from asynctune.schedulers.base import Scheduler
from asynctune.validators import number

__all__ = ["Wilcoxon"]

_LARGEST: Final = 1e308  # of a difference; only its place among the others counts


@define(kw_only=True, eq=False, slots=False)
class Wilcoxon(Scheduler):
    """The rule of Optuna's `WilcoxonPruner`, for cross-validation and the like: a trial reports what it gets on fold (instance,
    seed) n as step n, the same fold for the same step in each trial, and its score is their mean.

    At each report the trial is compared with the best trial that has come to its end, on the folds that both have: it is
    stopped if the signed-rank test of Wilcoxon, "Individual Comparisons by Ranking Methods" (Biometrics Bulletin 1, 1945) gives
    that it is worse with a p-value below `p_threshold` (one-sided; zeros are split between both sides). For safety a trial
    whose mean is so far at least as good as the best trial's is never stopped, except for a metric that is not finite: with
    that, the trial's mean will not be either. Stopped trials are nobody's measure.

    A report costs as much as SciPy's test of so many folds. Needs SciPy, `pip install "asynctune[wilcoxon]"`, which is imported
    at the first comparison.

    Args:
        p_threshold: above 0 and at most 1, by default 0.1. Less is more careful.
        startup_steps: how many folds a trial must have; at least 2, which is the default.

    Raises:
        ConfigurationError: for another argument, or if SciPy is not installed.
    """

    p_threshold: float = field(default=0.1, validator=number(0, above=True, most=1))
    startup_steps: int = field(default=2, validator=number(2, integer=True))
    # What each live trial has reported, by step; and the score and reports of the best that has come to its end.
    _folds: dict[TrialId, dict[int, float]] = field(init=False, factory=dict, repr=False)
    _best: tuple[float, dict[int, float]] | None = field(init=False, default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        if find_spec("scipy") is None:
            raise ConfigurationError('Wilcoxon() needs the package scipy: pip install "asynctune[wilcoxon]"')

    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        """Compare the trial with the best one."""
        value = self.objective.of(report.metrics)
        if value is None:
            return None
        if not math.isfinite(value):
            return Stop(f"Wilcoxon: {value} at step {report.step} is not finite, so their mean is not")
        folds = self._folds.setdefault(trial.id, {})
        folds[report.step] = self.objective.loss(value)
        if self._best is None:
            return None
        _, best = self._best
        shared = [step for step in folds if step in best]
        if len(shared) < self.startup_steps or _mean(folds) <= _mean(best):
            return None
        p_value = _worse([folds[step] - best[step] for step in shared])
        if not p_value < self.p_threshold:
            return None
        return Stop(f"Wilcoxon: worse than the best trial on {len(shared)} folds that both have (p = {p_value:.3g})")

    def on_trial_complete(self, trial: TrialView) -> Verdicts:
        """It may be the best."""
        folds = self._folds.pop(trial.id, None)
        if folds and trial.stop_reason is None and trial.score is not None and not trial.violates:
            loss = self.objective.loss(trial.score)
            if math.isfinite(loss) and (self._best is None or loss < self._best[0]):
                self._best = loss, folds
        return None

    def on_trial_error(self, trial: TrialView) -> Verdicts:
        """Nothing more will come from it."""
        self._folds.pop(trial.id, None)
        return None

    def plan(self) -> str:
        """What it will do."""
        surely = f"by the signed-rank test, p < {self.p_threshold:g}"
        return f"Wilcoxon: from {self.startup_steps} folds on, a trial is stopped that is worse than the best one ({surely})"

    def settings(self) -> Mapping[str, Any]:
        """What makes it judge as it does."""
        return {"p_threshold": self.p_threshold, "startup_steps": self.startup_steps}


def _mean(folds: Mapping[int, float]) -> float:
    return sum(each / len(folds) for each in folds.values())  # the sum itself may be beyond the floats


def _worse(differences: list[float]) -> float:
    """The probability of differences as large as these if the two were equally good."""
    stats: Any = import_module("scipy.stats")
    finite = [min(max(each, -_LARGEST), _LARGEST) for each in differences]
    return float(stats.wilcoxon(finite, alternative="greater", zero_method="zsplit").pvalue)
