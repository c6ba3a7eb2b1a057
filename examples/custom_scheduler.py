"""A scheduler of your own: one class with one method, shown a trial and its report, that says what becomes of it.

This one stops a trial that is far behind the best that any trial had reached by the same step.
"""

from collections.abc import Mapping
from typing import Any

import asynctune as at


class Behind(at.Scheduler):
    """Stops a trial whose loss at a step is over `factor` times the smallest that any trial has had at that step.

    Args:
        factor: over 1.
        grace: steps that every trial may take.
    """

    def __init__(self, factor: float, grace: int = 3) -> None:
        self.factor, self.grace = factor, grace
        self.smallest: dict[int, float] = {}

    def on_trial_result(self, trial: at.TrialView, report: at.Report) -> at.Stop | None:
        """Judge one report. None means: go on."""
        loss = self.objective.loss(report.metrics[self.objective.name])  # less is better, NaN is worst
        smallest = self.smallest[report.step] = min(loss, self.smallest.get(report.step, loss))
        if report.step >= self.grace and not loss <= self.factor * smallest:
            return at.Stop(f"{loss:.3g} at step {report.step}, where another trial had {smallest:.3g}")
        return None

    def settings(self) -> Mapping[str, Any]:
        """What makes it judge as it does: its fingerprint in the journal."""
        return {"factor": self.factor, "grace": self.grace}


def train(trial: at.Trial) -> None:
    """Roll down a hill, in steps of a size that may be too small, or too large."""
    rate, place = trial.hp.Float("rate", 1e-3, 1.2, sampling="log"), 1.0
    for _ in range(30):
        place -= rate * 2 * place
        trial.report(loss=place**2 + 1e-3)


if __name__ == "__main__":
    result = at.run(
        train,
        objective=at.Objective("loss", "min"),
        scheduler=Behind(factor=10.0),
        max_trials=40,
        executor=at.LocalExecutor(2),
        seed=0,
        display=False,
    )
    stopped = [trial for trial in result.trials.values() if trial.stop_reason]
    steps = sum(trial.step for trial in result.trials.values())
    print(f"{len(stopped)} of {len(result.trials)} trials were stopped, and {steps} of {30 * len(result.trials)} steps taken")
    for trial in stopped[:3]:
        print(f"trial {trial.id}: {trial.stop_reason}")
    best = result.best_trial
    if best is not None:
        print(f"best: trial {best.id}, loss {best.score:.4g}, {dict(best.values)}")
