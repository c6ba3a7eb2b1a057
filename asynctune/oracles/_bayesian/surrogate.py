"""What Bayesian optimisation makes of the trials: from values and losses to the values that promise most.

It needs NumPy, SciPy and scikit-learn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from attrs import define, field
from numpy.typing import NDArray

from asynctune.oracles._bayesian.candidates import Array, Candidates, Field
from asynctune.oracles._bayesian.process import fit, learn, warp
from asynctune.oracles._bayesian.promise import Promise
from asynctune.records import Values
from asynctune.space import Space

__all__ = ["Surrogate"]

_MOST: Final = 400  # observations that a model is given
_LEARNT: Final = 200  # of these, those from which its hyperparameters are learnt
_GROWTH: Final = 1.1  # by how much the observations grow before they are learnt anew
_PENDING: Final = 100  # trials that run, those proposed last, that a model is told of
_BEST: Final = 5  # trials, around which is looked
_CLIMBERS: Final = 5  # candidates from anywhere, and as many from around the best, that are moved to where they promise more
_STEPS: Final = 30  # of these, at most


@define(eq=False, repr=False)
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
    _field: Field = field(init=False)
    _values: list[Values] = field(init=False, factory=list)
    # With room for more than `count`.
    _rows: Array = field(init=False)
    _losses: Array = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._field = Field(self.space)
        self._rows, self._losses = np.empty((64, self._field.encoding.width)), np.empty(64)

    def observe(self, values: Values, loss: float) -> None:
        """A trial has come out like this."""
        if self.count == len(self._losses):
            self._rows, self._losses = (np.concatenate([each, np.empty_like(each)]) for each in (self._rows, self._losses))
        self._values.append(values)
        self._rows[self.count] = self._field.encoding.vector(values)
        self._losses[self.count] = loss
        self.count += 1

    def ranked(self, pending: Sequence[Values], luck: int) -> Iterator[Values]:
        """Combinations, the one that promises most first. Some may have been tried.

        Args:
            pending: the values of the trials that run.
            luck: a seed.
        """
        chosen = self._chosen()
        points, targets = self._rows[chosen], warp(self._losses[chosen])
        if self.theta is None or self.count >= _GROWTH * self.learnt + 2:
            self._learn(points, targets)
        posterior = fit(points, targets, self._field.rows(pending[-_PENDING:]), np.array(self.theta), self.floor)
        candidates, promised = self._candidates(Promise(posterior, self.beta, posterior.incumbent()), luck)
        return (candidates.values[place] for place in _descending(promised))

    def _chosen(self) -> NDArray[np.intp]:
        """Which observations a model is given: the best of them, and others from all along the search."""
        if self.count <= _MOST:
            return np.arange(self.count)
        order = np.argsort(self._losses[: self.count], kind="stable")
        others = np.sort(order[_MOST // 2 :])
        return np.sort(np.concatenate([order[: _MOST // 2], others[_spread(len(others), _MOST - _MOST // 2)]]))

    def _learn(self, points: Array, targets: Array) -> None:
        some = _spread(len(points), min(len(points), _LEARNT))
        before = None if self.theta is None else np.array(self.theta)
        self.theta, self.learnt = learn(points[some], targets[some], before, self.floor).tolist(), self.count

    def _candidates(self, promise: Promise, luck: int) -> tuple[Candidates, Array]:
        """Combinations, and what each promises."""
        best = [self._values[place] for place in np.argsort(self._losses[: self.count], kind="stable")[:_BEST]]
        # As many climb from anywhere as from around the best: else all would climb the same hill.
        parts = [self._field.anywhere(luck), self._field.around(best, luck)]
        promised = [promise.of(part.rows) for part in parts]
        start = np.concatenate([part.rows[_descending(of)[:_CLIMBERS]] for part, of in zip(parts, promised, strict=True)])
        free = self._field.free(start)
        if free.any():
            parts.append(self._field.decoded(promise.climbed(start, free, _STEPS)))
            promised.append(promise.of(parts[-1].rows))
        whole = Candidates([values for part in parts for values in part.values], np.concatenate([part.rows for part in parts]))
        return whole, np.concatenate(promised)


def _descending(numbers: Array) -> NDArray[np.intp]:
    return np.argsort(-numbers, kind="stable")


def _spread(count: int, wanted: int) -> NDArray[np.intp]:
    """So many places of so many, evenly from the first to the last."""
    return np.linspace(0, count - 1, wanted).astype(np.intp)
