"""How promising a candidate is: the logarithm of its expected improvement, or a confidence bound.

Ament, Daulton, Eriksson, Balandat and Bakshy, "Unexpected Improvements to Expected Improvement for Bayesian Optimization"
(NeurIPS 2023): far from what was observed the improvement itself is 0 in floats, and has no slope to climb; its logarithm has.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from attrs import frozen
from scipy.optimize import minimize
from scipy.special import erfcx, log_ndtr, ndtr

from asynctune.oracles._bayesian.candidates import Array, Mask
from asynctune.oracles._bayesian.process import Posterior

__all__ = ["Promise"]

_HALF_LOG_2PI: Final = math.log(2 * math.pi) / 2
_HALF_LOG_PI_2: Final = math.log(math.pi / 2) / 2


@frozen(eq=False)
class Promise:
    """What rows promise.

    Args:
        posterior: what is expected of them.
        beta: how many deviations better than its mean a row is taken to be (the lower confidence bound of KerasTuner); None for
            the logarithm of the expected improvement.
        incumbent: the least mean so far, over which to improve.
    """

    posterior: Posterior
    beta: float | None
    incumbent: float

    def of(self, rows: Array) -> Array:
        """What each row promises."""
        mean, deviation = self.posterior.at(rows)
        if self.beta is not None:
            return self.beta * deviation - mean
        return _log_h((self.incumbent - mean) / deviation) + np.log(deviation)

    def climbed(self, rows: Array, free: Mask, steps: int) -> Array:
        """Each row, moved to where it promises more: within [0, 1], and only along the columns that are `free` (of the shape of
        `rows`; some must be). All are moved at once: the sum of what they promise has a slope for each."""
        where = np.nonzero(free)

        def loss(moved: Array) -> tuple[float, Array]:
            at = rows.copy()
            at[where] = moved
            value, slope = self._slopes(at)
            return -float(value.sum()), -slope[where]

        bounds, options = [(0.0, 1.0)] * len(where[0]), {"maxiter": steps, "maxfun": 2 * steps}
        found = minimize(loss, rows[where], jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        moved = rows.copy()
        moved[where] = np.clip(np.where(np.isfinite(found.x), found.x, rows[where]), 0.0, 1.0)
        return moved

    def _slopes(self, rows: Array) -> tuple[Array, Array]:
        mean, deviation, by_mean, by_deviation = self.posterior.slopes(rows)
        if self.beta is not None:
            return self.beta * deviation - mean, self.beta * by_deviation - by_mean
        z = (self.incumbent - mean) / deviation
        height = _log_h(z)
        slope = np.exp(log_ndtr(z) - height)[:, None]
        # d z = -(d mean + z d deviation) / deviation
        total = (by_deviation - slope * (by_mean + z[:, None] * by_deviation)) / deviation[:, None]
        return height + np.log(deviation), total


def _log_h(z: Array) -> Array:
    """log(phi(z) + z Phi(z)), in three pieces (equation 9 there)."""
    with np.errstate(all="ignore"):
        plain = np.log(np.exp(-z * z / 2 - _HALF_LOG_2PI) + z * ndtr(z))
        below = np.minimum(z, -1.0)
        far = -below * below / 2 - _HALF_LOG_2PI
        ratio = np.log(erfcx(-below / math.sqrt(2)) * -below) + _HALF_LOG_PI_2
        middle = far + np.log(-np.expm1(ratio))
        farthest = far - 2 * np.log(-below)
    height: Array = np.where(z > -1, plain, np.where(z > -1e6, middle, farthest))
    return height
