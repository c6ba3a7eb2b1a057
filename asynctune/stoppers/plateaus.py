"""It gets no better."""

from __future__ import annotations

import math
from bisect import insort
from statistics import pstdev
from typing import Any

from attrs import define, field

from asynctune.records import Report, TrialView
from asynctune.stoppers.metrics import Watched
from asynctune.validators import LARGEST_INTEGER, number
from asynctune.views import SearchView

__all__ = ["NoImprovement", "SearchPlateau", "TrialPlateau"]


def _many(least: int) -> Any:
    return number(least, integer=True, most=LARGEST_INTEGER)


@define(kw_only=True)
class TrialPlateau(Watched):
    """End a trial whose last reports differ too little: the standard deviation of the metric in them is at most `std`. (Ray
    Tune's TrialPlateauStopper, and its defaults.) A window in which it is NaN or infinite is no plateau.

    Args:
        std: at least 0.
        window: how many reports are looked at; those without the metric do not count. At least 2.
        grace: how many reports a trial has before it can be ended.
        threshold: a trial that is worse than this is not ended; None ends any.
        metric, direction: which it is, and whether "min" or "max" is better; as of `TrialTarget`.

    Raises:
        ConfigurationError: for a value that is out of range.
    """

    std: float = field(default=0.01, validator=number(0, finite=True))
    window: int = field(default=4, validator=_many(2))
    grace: int = field(default=4, validator=_many(0))
    threshold: float | None = field(default=None, validator=number(float("-inf"), finite=True, optional=True))

    def should_stop_trial(self, trial: TrialView, report: Report) -> str | None:
        """Whether they do."""
        if len(trial.reports) < self.grace:
            return None
        losses = self._losses(trial, self.window)
        known = [loss for loss in losses if loss is not None]
        if len(known) < self.window or not pstdev(known) <= self.std:
            return None
        if self.threshold is not None and known[0] > self._sign * self.threshold:
            return None
        return f"plateau: {self._called} moves by no more than {self.std:g} in {self.window} reports"


@define(kw_only=True)
class SearchPlateau(Watched):
    """End the search when its best trials differ too little: the standard deviation of the scores of the `top` best is at most
    `std`. (Ray Tune's ExperimentPlateauStopper, and its defaults; there it looks at every report, here at what trials end
    with.)

    Args:
        std: at least 0.
        top: how many are looked at; at least 2. There is no plateau before there are as many.
        patience: how many more trials may end while it is one.
        metric, direction: what is looked at instead of the score; as of `TrialTarget`. It is that of the last report, or what
            the trial has returned.

    Raises:
        ConfigurationError: for a value that is out of range.
    """

    std: float = field(default=0.001, validator=number(0, finite=True))
    top: int = field(default=10, validator=_many(2))
    patience: int = field(default=0, validator=_many(0))
    deadline: None = field(default=None, init=False)
    _best: list[float] = field(factory=list, init=False)
    _flat: int = field(default=0, init=False)

    def on_trial_end(self, trial: TrialView) -> None:
        """Look at what it has ended with."""
        loss = self._final(trial)
        if loss is None:
            return
        insort(self._best, loss)
        del self._best[self.top :]
        is_flat = len(self._best) == self.top and pstdev(self._best) <= self.std
        self._flat = self._flat + 1 if is_flat else 0

    def should_stop_search(self, search: SearchView) -> str | None:
        """Whether they do."""
        return f"plateau: the best {self.top} differ by no more than {self.std:g}" if self._flat > self.patience else None


@define(kw_only=True)
class NoImprovement(Watched):
    """End the search when so many trials in a row have ended, and none was better than the best before.

    Args:
        trials: at least 1. Those that FAILED count, too.
        least: by how much one has to be better; 0 for anything at all.
        metric, direction: as of `SearchPlateau`.

    Raises:
        ConfigurationError: for a value that is out of range.
    """

    trials: int = field(validator=_many(1))
    least: float = field(default=0.0, validator=number(0, finite=True))
    deadline: None = field(default=None, init=False)
    _best: float = field(default=math.inf, init=False)
    _idle: int = field(default=0, init=False)

    def on_trial_end(self, trial: TrialView) -> None:
        """Look at what it has ended with."""
        loss = self._final(trial)
        is_better = loss is not None and (loss < self._best - self.least or math.isinf(self._best))
        self._best = loss if is_better and loss is not None else self._best
        self._idle = 0 if is_better else self._idle + 1

    def should_stop_search(self, search: SearchView) -> str | None:
        """Whether it is so."""
        if self._idle < self.trials:
            return None
        return f"no improvement in {self.trials:,} trial{'' if self.trials == 1 else 's'}"
