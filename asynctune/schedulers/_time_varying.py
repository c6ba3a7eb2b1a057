"""The model of PB2: a Gaussian process over values and time, and where it expects most. It needs NumPy and SciPy.

Only numbers come in and go out: this room knows no trials and no parameters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize
from scipy.spatial.distance import cdist

__all__ = ["Model", "best", "model_of"]

Array: TypeAlias = NDArray[np.float64]

_CANDIDATES: Final = 300  # anywhere; then as many around the best of them, and nearer
_SPREADS: Final = (0.1, 0.02, 0.004)
_STEPS: Final = 10  # of L-BFGS-B, at most
_LEARNT: Final = 60  # observations, the newest, from which the hyperparameters are learnt
_FARTHEST: Final = 2.0  # deviations from the mean: a gain beyond counts as that much
_JITTER: Final = 1e-8
# Logarithms of the length of the scale, of the part that an interval forgets, and of the noise; within these.
_USUAL: Final = (math.log(0.5), math.log(0.1), math.log(0.1))
_BOUNDS: Final = ((math.log(0.05), math.log(5.0)), (math.log(1e-4), math.log(0.5)), (math.log(1e-3), 0.0))


@frozen(eq=False)
class Model:
    """What was observed, and what it says of values at other times.

    Args:
        points: a row for each observation: where its values stand in [0, 1], and what is known beside them, scaled alike.
        times: when each was made, in intervals.
        gains: what came of each, with mean 0 and deviation 1.
        theta: see `_USUAL`.
    """

    points: Array
    times: Array
    gains: Array
    theta: Array

    def covariance(self, points: Array, times: Array, others: Array, their_times: Array) -> Array:
        """How alike two gains are: less the farther their values, and the farther their times."""
        length, forgets = np.exp(self.theta[:2])
        near = np.exp(-cdist(points, others, "sqeuclidean") / (2 * length**2))
        apart = np.abs(times[:, None] - their_times[None, :])
        return np.asarray(near * (1 - forgets) ** (apart / 2), dtype=np.float64)

    def factor(self, points: Array, times: Array) -> Array:
        """The lower Cholesky factor of the covariance of what was seen at these points, with its noise."""
        noise = float(np.exp(self.theta[2]))
        whole = self.covariance(points, times, points, times) + (noise + _JITTER) * np.eye(len(points))
        return np.asarray(cholesky(whole, lower=True), dtype=np.float64)

    def surprise(self) -> float:
        """Minus the logarithm of how probable the gains are, but for a constant; with a prior around what is usual."""
        factor = self.factor(self.points, self.times)
        solved = cho_solve((factor, True), self.gains)
        prior = float(((self.theta - np.array(_USUAL)) ** 2).sum()) / 2
        return float(self.gains @ solved) / 2 + float(np.log(np.diag(factor)).sum()) + prior


def model_of(points: Sequence[Sequence[float]], times: Sequence[float], gains: Sequence[float]) -> Model:
    """The model of these observations, with the hyperparameters that are most probable for the newest of them."""
    seen, when, told = np.array(points, dtype=np.float64), np.array(times, dtype=np.float64), _standard(gains)

    def surprise(theta: Array) -> float:
        return Model(seen[-_LEARNT:], when[-_LEARNT:], told[-_LEARNT:], theta).surprise()

    found: Any = minimize(surprise, np.array(_USUAL), method="L-BFGS-B", bounds=_BOUNDS, options={"maxiter": _STEPS})
    return Model(seen, when, told, np.asarray(found.x, dtype=np.float64))


def _standard(gains: Sequence[float]) -> Array:
    given = np.array(gains, dtype=np.float64)
    largest = np.abs(given).max()
    scaled = given / largest if largest > 0 else given  # so that no square overflows
    spread = scaled.std()
    return np.clip((scaled - scaled.mean()) / spread, -_FARTHEST, _FARTHEST) if spread > 0 else np.zeros(len(given))


def best(
    model: Model, known: Sequence[float], time: float, *, pending: Sequence[Sequence[float]], width: int, luck: int
) -> list[float]:
    """Where in [0, 1] for each of `width` values the upper confidence bound of the gain is highest.

    Args:
        known: what is known beside the values, scaled as in the model's points.
        time: for when, in intervals.
        pending: values (in [0, 1]) that are being tried, of which nothing is known yet: around them there is less to learn.
        luck: a seed of where it looks.
    """
    now, beside = np.array([time]), np.array(known, dtype=np.float64)
    weights = cho_solve((model.factor(model.points, model.times), True), model.gains)
    waiting = np.array([[*each, *known] for each in pending], dtype=np.float64).reshape(-1, model.points.shape[1])
    points, times = np.vstack([model.points, waiting]), np.append(model.times, [time] * len(waiting))
    factor = model.factor(points, times)
    kappa = math.sqrt(0.2 + max(0.0, math.log(0.4 * len(model.points))))

    def losses(units: Array) -> Array:
        rows = np.hstack([units, np.tile(beside, (len(units), 1))])
        mean = model.covariance(rows, now, model.points, model.times) @ weights
        half = solve_triangular(factor, model.covariance(rows, now, points, times).T, lower=True)
        return np.asarray(-mean - kappa * np.sqrt(np.maximum(1 - np.einsum("ij,ij->j", half, half), 0.0)), dtype=np.float64)

    random = np.random.default_rng(luck)
    found = _lowest(losses, random.random((_CANDIDATES, width)))
    for spread in _SPREADS:
        around = np.clip(found + spread * random.standard_normal((_CANDIDATES, width)), 0.0, 1.0)
        found = _lowest(losses, np.vstack([found, around]))
    return [float(each) for each in found]


def _lowest(losses: Callable[[Array], Array], rows: Array) -> Array:
    return np.asarray(rows[int(losses(rows).argmin())], dtype=np.float64)
