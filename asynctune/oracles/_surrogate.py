"""What Bayesian optimisation makes of the trials: from values and losses to the values that promise most.

It needs NumPy, SciPy and scikit-learn, and is imported when a model is first needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from attrs import define, field
from numpy.typing import NDArray

from asynctune.oracles._acquisition import Promise
from asynctune.oracles._features import Array, Features
from asynctune.oracles._gaussian import fit, learn, warp
from asynctune.records import Value, Values
from asynctune.space import Space

__all__ = ["Surrogate"]

_MOST: Final = 400  # observations that a model is given
_LEARNT: Final = 250  # of these, those from which its hyperparameters are learnt
_GROWTH: Final = 1.1  # by how much the observations grow before they are learnt anew
_PENDING: Final = 100  # trials that run, those proposed last, that a model is told of
_ANYWHERE: Final = 300  # candidates drawn from the whole space
_NEARBY: Final = 300  # candidates near the best trials
_BEST: Final = 5
_CLIMBERS: Final = 10  # candidates that are moved to where they promise more
_STEPS: Final = 30  # of these
_FEW: Final = 500  # combinations, at most, of a space that is looked at whole


@define(eq=False)
class Surrogate:
    """A model of one space.

    Args:
        space: not to change.
        floor: the least variance of the noise, where the losses have 1.
        beta: see `Promise`.
        learnt: from how many observations the hyperparameters are.
        theta: the hyperparameters; None before they are first learnt.

    Attributes:
        count: how many trials it has observed.
    """

    space: Space
    floor: float
    beta: float | None
    learnt: int = 0
    theta: list[float] | None = None
    count: int = field(init=False, default=0)
    _features: Features = field(init=False)
    # With room for more than `count`.
    _units: Array = field(init=False)
    _losses: Array = field(init=False)
    _whole: Array | None = field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        self._features = Features(self.space)
        self._units, self._losses = np.empty((64, len(self.space))), np.empty(64)

    def observe(self, values: Values, loss: float) -> None:
        """A trial has come out like this."""
        if self.count == len(self._losses):
            self._units, self._losses = (np.concatenate([each, np.empty_like(each)]) for each in (self._units, self._losses))
        self._units[self.count] = self._features.units(values)
        self._losses[self.count] = loss
        self.count += 1

    def ranked(self, pending: Sequence[Values], luck: int) -> Iterator[dict[str, Value]]:
        """Combinations, the one that promises most first. Some may have been tried.

        Args:
            pending: the values of the trials that run.
            luck: a seed.
        """
        chosen = self._chosen()
        losses = self._losses[: self.count][chosen]
        points, targets = self._features.rows(self._units[: self.count][chosen]), warp(losses)
        if self.theta is None or self.count >= _GROWTH * self.learnt + 2:
            self._learn(points, targets)
        waiting = [self._features.units(values) for values in pending[-_PENDING:]]
        rows = self._features.rows(np.array(waiting).reshape(len(waiting), len(self.space)))
        posterior = fit(points, targets, rows, np.array(self.theta), self.floor)
        promise = Promise(posterior, self.beta, posterior.incumbent())
        candidates, promised = self._candidates(promise, np.random.default_rng(luck))
        return (self._features.values(candidates[place]) for place in np.argsort(-promised, kind="stable"))

    def _chosen(self) -> NDArray[np.intp]:
        """Which observations a model is given: the best half of them, and others from all along the search."""
        if self.count <= _MOST:
            return np.arange(self.count)
        order = np.argsort(self._losses[: self.count], kind="stable")
        others = np.sort(order[_MOST // 2 :])
        spread = np.linspace(0, len(others) - 1, _MOST - _MOST // 2).astype(np.intp)
        return np.sort(np.concatenate([order[: _MOST // 2], others[spread]]))

    def _learn(self, points: Array, targets: Array) -> None:
        if len(points) > _LEARNT:
            spread = np.linspace(0, len(points) - 1, _LEARNT).astype(np.intp)
            points, targets = points[spread], targets[spread]
        before = None if self.theta is None else np.array(self.theta)
        self.theta, self.learnt = learn(points, targets, before, self.floor).tolist(), self.count

    def _candidates(self, promise: Promise, luck: np.random.Generator) -> tuple[Array, Array]:
        """Units of combinations, and what each promises."""
        size = self.space.size
        if size is not None and size <= _FEW:
            if self._whole is None:
                self._whole = np.array([self._features.units(values) for values in self._features.every()])
            return self._whole, promise.of(self._features.rows(self._whole))
        best = np.argsort(self._losses[: self.count], kind="stable")[:_BEST]
        nearby = self._features.varied(luck, self._units[best[luck.integers(len(best), size=_NEARBY)]])
        units = np.concatenate([self._features.drawn(luck, _ANYWHERE), nearby])
        rows = self._features.rows(units)
        promised = promise.of(rows)
        # As many climb from anywhere as from near the best: else all would climb the same hill.
        halves = (np.arange(_ANYWHERE), np.arange(_ANYWHERE, len(units)))
        start = np.concatenate([half[np.argsort(-promised[half], kind="stable")[: _CLIMBERS // 2]] for half in halves])
        free = np.broadcast_to(self._features.free(), rows[start].shape)
        climbed = self._features.walked(units[start], promise.climbed(rows[start], free, _STEPS))
        return np.concatenate([units, climbed]), np.concatenate([promised, promise.of(self._features.rows(climbed))])
