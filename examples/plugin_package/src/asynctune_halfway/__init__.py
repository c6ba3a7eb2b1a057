"""A scheduler for asynctune: halfway, the worse half is stopped."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Mapping
from typing import Any

import asynctune as at

__all__ = ["Halfway"]


class Halfway(at.Scheduler):
    """Stops a trial, when it comes to a step, if half of those that came there before it were better.

    Args:
        step: at least 1; by default 5.
    """

    def __init__(self, step: int = 5) -> None:
        if step < 1:
            raise at.errors.ConfigurationError(f"Halfway(step={step!r}): a trial's steps are counted from 1")
        self.step = step
        self._losses: list[float] = []
        self._judged: set[int] = set()

    def on_trial_result(self, trial: at.TrialView, report: at.Report) -> at.Stop | None:
        """Judge the trial once, at its first report there or beyond."""
        if report.step < self.step or trial.id in self._judged:
            return None
        loss = self.objective.loss(report.metrics.get(self.objective.name, math.nan))
        better = bisect_left(self._losses, loss)
        insort(self._losses, loss)
        self._judged.add(trial.id)
        if math.isfinite(loss) and 2 * better < len(self._losses):
            return None
        return at.Stop(f"halfway: {better} of {len(self._losses) - 1} were better at step {self.step}")

    def on_trial_complete(self, trial: at.TrialView) -> None:
        """Nothing more will come from it."""
        self._judged.discard(trial.id)

    def on_trial_error(self, trial: at.TrialView) -> None:
        """Nothing more will come from it."""
        self._judged.discard(trial.id)

    def plan(self) -> str:
        """What it will do."""
        return f"halfway: at step {self.step}, the worse half is stopped"

    def settings(self) -> Mapping[str, Any]:
        """Its fingerprint in the journal."""
        return {"step": self.step}
