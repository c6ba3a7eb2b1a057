"""BOHB: HyperBand, with an oracle that learns from every rung."""

from __future__ import annotations

from typing import Any

from asynctune.oracles import bohb
from asynctune.schedulers.hyperband import HyperBand

__all__ = ["BOHB"]


class BOHB(HyperBand):
    """BOHB of Falkner et al., "BOHB: Robust and Efficient Hyperparameter Optimization at Scale" (ICML 2018): HyperBand's
    brackets, and an oracle with a model for each rung. This is the scheduler's part, which is HyperBand; `oracle()` makes the
    other, with the same rungs:

        scheduler = at.schedulers.BOHB(max_steps=27)
        at.search(train, space, oracle=scheduler.oracle(), scheduler=scheduler, ...)

    Each of the two can be used without the other.
    """

    def oracle(self, **settings: Any) -> bohb.BOHB:
        """The oracle for it.

        Args:
            settings: of `asynctune.oracles.BOHB`, but for `max_steps`, `grace` and `factor`.
        """
        return bohb.BOHB(max_steps=self.max_steps, grace=self.grace, factor=self.factor, **settings)
