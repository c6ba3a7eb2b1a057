"""The model of Bayesian optimisation: a Gaussian process over what was observed, and what it expects of candidates.

Only numbers come in and go out: this room knows no parameters, no trials, and not who proposes. It needs SciPy and
scikit-learn.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from attrs import frozen
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import minimize
from scipy.spatial.distance import cdist
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
from sklearn.preprocessing import power_transform

from asynctune.oracles._bayesian.candidates import Array

__all__ = ["Posterior", "fit", "learn", "warp"]

_ROOT_5: Final = math.sqrt(5)
_STEPS: Final = 30  # of L-BFGS-B, at most, from each start of a fit
_LENGTHS: Final = (1e-2, 1e2)
_MOST_LENGTHS: Final = 40  # learning them takes memory and time for each
_YOUNG: Final = 100  # observations, up to which learning begins anew, too
_SCALES: Final = (1e-2, 1e2)
_MOST_NOISE: Final = 1.0  # all of the variance of what was observed
_JITTER: Final = 1e-10  # on the diagonal, for the factorisation alone
# Where the priors are, as logarithms: a length of half the range in one dimension, and longer by the root of their number in
# more (Hvarfner, Hellsten and Nardi, "Vanilla Bayesian Optimization Performs Great in High Dimensions", 2024); and little
# noise.
_LENGTH: Final = math.log(0.5)
_NOISE: Final = math.log(2e-6)
_FARTHEST: Final = 30.0  # times the distance from the best loss to the median: what is worse counts as that bad


@frozen(eq=False)
class Posterior:
    """A Gaussian process, given what was observed. Trials that still run are taken to come out as the process expects: that
    changes no mean, and takes the doubt away around them (the "Kriging believer": Ginsbourger, Le Riche and Carraro, 2010).

    Args:
        theta: logarithms of the variance, of a length for each column (or one for all), and of the noise.
        points: what was observed, then what is pending; a row each.
        factor: the lower Cholesky factor of the covariance of the points.
        weights: the inverse of that, times what was observed; 0 for what is pending.
    """

    theta: Array
    points: Array
    factor: Array
    weights: Array

    @property
    def _variance(self) -> float:
        return float(np.exp(self.theta[0]))

    def incumbent(self) -> float:
        """The least mean at any of the points: the best there is, without its luck."""
        return float(self.at(self.points)[0].min())

    def at(self, rows: Array) -> tuple[Array, Array]:
        """Mean and standard deviation, without noise, at each row."""
        mean, deviation, *_ = self._at(rows)
        return mean, deviation

    def _at(self, rows: Array) -> tuple[Array, Array, Array, Array]:
        lengths = np.exp(self.theta[1:-1])
        near = _ROOT_5 * cdist(rows / lengths, self.points / lengths)
        covariance = self._variance * (1 + near + near**2 / 3) * np.exp(-near)
        half = solve_triangular(self.factor, covariance.T, lower=True, check_finite=False)
        deviation = np.sqrt(np.maximum(self._variance - np.einsum("ij,ij->j", half, half), 1e-12 * self._variance))
        return covariance @ self.weights, deviation, near, half

    def slopes(self, rows: Array) -> tuple[Array, Array, Array, Array]:
        """Mean and deviation at each row, and their gradients."""
        mean, deviation, near, half = self._at(rows)
        lengths = np.exp(self.theta[1:-1])
        # d k(a, b) / d a = -5/3 variance (1 + r) exp(-r) (a - b) / lengths^2, with r = sqrt(5) |a - b|
        common = -5 / 3 * self._variance * (1 + near) * np.exp(-near)
        weighted = common * self.weights
        by_mean = (rows * weighted.sum(1, keepdims=True) - weighted @ self.points) / lengths**2
        solved = solve_triangular(self.factor, half, lower=True, trans="T", check_finite=False).T
        weighted = common * solved
        by_variance = -2 * (rows * weighted.sum(1, keepdims=True) - weighted @ self.points) / lengths**2
        return mean, deviation, by_mean, by_variance / (2 * deviation[:, None])


def fit(points: Array, targets: Array, pending: Array, theta: Array, floor: float) -> Posterior:
    """The process with these hyperparameters, given what was observed and what is pending."""
    model = _regressor(theta, floor, None).fit(points, targets)
    weights = np.asarray(model.alpha_, dtype=np.float64)
    factor = np.asarray(model.L_, dtype=np.float64)
    if len(pending):
        kernel = model.kernel_
        half = solve_triangular(factor, kernel(points, pending), lower=True, check_finite=False)
        own = cholesky(kernel(pending) - half.T @ half + _JITTER * np.eye(len(pending)), lower=True)
        known, total = len(points), len(points) + len(pending)
        whole = np.zeros((total, total))
        whole[:known, :known], whole[known:, :known], whole[known:, known:] = factor, half.T, own
        factor, weights, points = whole, np.append(weights, np.zeros(len(pending))), np.vstack([points, pending])
    return Posterior(theta, points, factor, weights)


def learn(points: Array, targets: Array, theta: Array | None, floor: float) -> Array:
    """The hyperparameters that are most probable, given what was observed (scikit-learn's marginal likelihood, and priors).

    Args:
        theta: those of last time, from which to start.
        floor: the least noise.
    """
    centres = _centres(points.shape[1])
    usual = np.append(centres[:-1], max(centres[-1], math.log(floor)))
    # Few observations may have misled it; what many have taught it stays near.
    starts = [usual] if theta is None else [theta, usual] if len(points) <= _YOUNG else [theta]

    def search(objective: Callable[..., Any], _: Array, bounds: Array) -> tuple[Array, float]:
        def loss(theta: Array) -> tuple[float, Array]:
            value, slope = objective(theta)
            extra, extra_slope = _prior(theta, centres)
            return value + extra, slope + extra_slope

        within, options = [np.clip(start, bounds[:, 0], bounds[:, 1]) for start in starts], {"maxiter": _STEPS}
        found = [minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options) for start in within]
        best = min(found, key=lambda each: float(each.fun))
        return best.x, float(best.fun)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = _regressor(usual, floor, search).fit(points, targets)
    return np.asarray(model.kernel_.theta, dtype=np.float64)


def warp(losses: Array) -> Array:
    """Losses as the process takes them: of mean 0 and variance 1 and, as far as a power can make them so, as if drawn from a
    normal distribution (Yeo and Johnson, 2000). A few that are very bad then do not hide the differences between the good."""
    largest = np.abs(losses).max()
    scaled = losses / largest if largest > 0 else losses  # so that no difference overflows
    above = scaled - scaled.min()
    middle = np.median(above)
    # Past this, how bad it is says nothing any more.
    above = np.minimum(above, _FARTHEST * middle) if middle > 0 else above
    if not above.max() > 0:
        return np.zeros(len(losses))
    above = above / above.max()
    standard = (above - above.mean()) / above.std()
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warped = power_transform(standard[:, None], method="yeo-johnson")[:, 0]
    return np.asarray(warped, dtype=np.float64) if np.isfinite(warped).all() and warped.std() > 0.5 else standard


def _centres(width: int) -> Array:
    """Where the priors of the hyperparameters are: a length for each column; for too many of these, one length for all."""
    lengths = width if width <= _MOST_LENGTHS else 1
    return np.array([0.0, *[_LENGTH + math.log(max(width, 1)) / 2] * lengths, _NOISE])


def _prior(theta: Array, centres: Array) -> tuple[float, Array]:
    """Minus the logarithm of how probable they are before anything is observed, but for a constant, and its gradient."""
    spread = np.array([1.0, *[1.0] * (len(theta) - 2), 2.0])
    away = (theta - centres) / spread
    return float(away @ away) / 2, away / spread


def _regressor(theta: Array, floor: float, optimizer: Any) -> Any:
    lengths = np.ones(len(theta) - 2)
    kernel = ConstantKernel(1.0, _SCALES) * Matern(lengths, _LENGTHS, nu=2.5) + WhiteKernel(floor, (floor, _MOST_NOISE))
    kernel.theta = theta
    return GaussianProcessRegressor(kernel, alpha=_JITTER, optimizer=optimizer, copy_X_train=False)
