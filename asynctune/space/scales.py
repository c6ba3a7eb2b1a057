"""The numbers under the domains: how [0, 1] is stretched over a range, and which numbers a step walks to.

This room knows three scales and nothing of parameters. Steps are walked in decimal, since that is how they were written: from 0
in steps of 0.2 one comes to 0.6, not to 0.6000000000000001, and one does come to 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Literal, TypeAlias, overload

from attrs import frozen

__all__ = ["SAMPLINGS", "Rungs", "Sampling", "closest_multiple", "distinct", "multiple", "part", "squeeze", "stretch"]

Sampling: TypeAlias = Literal["linear", "log", "reverse_log"]

SAMPLINGS: tuple[Sampling, ...] = ("linear", "log", "reverse_log")

# Enough digits for the sum and the product of any two doubles to be exact wherever it shows in the double that comes out.
_DECIMAL = Context(prec=60, Emin=-999_999, Emax=999_999)


def stretch(unit: float, low: float, high: float, sampling: Sampling) -> float:
    """The number in [`low`, `high`] that stands at `unit` in [0, 1]; exactly `low` at 0 and `high` at 1.

    "log" is uniform in the logarithm, and needs `low` > 0; "reverse_log" is its mirror image, dense towards `high`.
    """
    if unit in (0, 1):
        return high if unit else low
    if sampling == "linear":
        value = low * (1 - unit) + high * unit  # not low + unit * (high - low), which can overflow
    elif sampling == "log":
        value = low ** (1 - unit) * high**unit
    else:
        value = low + (high - low**unit * high ** (1 - unit))
    return min(max(value, low), high)


def squeeze(value: float, low: float, high: float, sampling: Sampling) -> float:
    """Where in [0, 1] `value` stands: the inverse of `stretch`. 0.5 when the range has no length."""
    if sampling == "linear":
        walked, length = value / 2 - low / 2, high / 2 - low / 2  # halves, since high - low can overflow
    else:
        seen = value if sampling == "log" else low + (high - value)
        walked, length = _log_ratio(seen, low), _log_ratio(high, low)
    if length == 0:
        return 0.5
    unit = min(max(walked / length, 0.0), 1.0)
    return 1 - unit if sampling == "reverse_log" else unit


def _log_ratio(value: float, low: float) -> float:
    beyond = (value - low) / low
    return math.log1p(beyond) if beyond < 1 else math.log(value) - math.log(low)  # the first is exact in a narrow range


def part(unit: float, parts: int) -> int:
    """Which of so many equal parts of [0, 1] holds `unit`, from 0; 1 itself is in the last."""
    numerator, denominator = float(unit).as_integer_ratio()  # exact, however many parts there are
    return min(numerator * parts // denominator, parts - 1)


def distinct(low: float, high: float, step: float, sampling: Sampling) -> bool:
    """Whether doubles are fine enough to tell the rungs of this walk apart."""
    if low == high:
        return True
    closest = step if sampling == "linear" else low * (step - 1)
    coarsest = {"linear": max(abs(low), abs(high)), "log": low, "reverse_log": high}[sampling]
    return closest >= 4 * math.ulp(coarsest)


def closest_multiple(value: float, quantum: float) -> float:
    """The multiple of `quantum` that is closest to `value`, both read as decimals."""
    pace = Decimal(repr(quantum))
    times = _DECIMAL.divide(Decimal(repr(value)), pace).to_integral_value(ROUND_HALF_EVEN)
    return float(_DECIMAL.multiply(pace, times)) + 0.0


def multiple(value: float, quantum: float) -> float | None:
    """The multiple of `quantum` that `value` is, but for the noise of float arithmetic; None if it is none."""
    closest = closest_multiple(value, quantum)
    return closest if abs(closest - value) <= 4 * math.ulp(value) else None


@frozen
class Rungs(Sequence[float]):
    """The doubles that a step walks to, from `low` up and never past `high`, in increasing order.

    The step is added under "linear" and multiplied under "log". "reverse_log" is "log" mirrored: it walks down from `high`.

    Attributes:
        last: the index of the last rung.
        closed: whether the walk ends on the other end of the range, but for the noise in a step such as 0.3333333333333333.
    """

    low: Decimal
    high: Decimal
    step: Decimal
    sampling: Sampling
    last: int
    closed: bool

    @classmethod
    def of(cls, low: float, high: float, step: float, sampling: Sampling) -> Rungs:
        """The walk from `low` to `high`; `distinct` must hold."""
        start, end, pace = (Decimal(repr(number)) for number in (low, high, step))
        steps = _steps(start, end, pace, sampling)
        closest = round(steps)
        # A step that was rounded misses the end by at most half an ulp of itself, each time.
        noise = math.ulp(high) * (closest + 4) if sampling != "linear" else math.ulp(max(abs(low), abs(high))) * 4
        closed = abs(_DECIMAL.subtract(_walk(start, pace, closest, sampling), end)) <= Decimal(noise)
        return cls(start, end, pace, sampling, closest if closed else int(steps), closed)

    def __len__(self) -> int:
        return self.last + 1

    @overload
    def __getitem__(self, index: int) -> float: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[float]: ...
    def __getitem__(self, index: int | slice) -> float | Sequence[float]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not 0 <= index <= self.last:
            raise IndexError(index)
        steps = self.last - index if self.sampling == "reverse_log" else index
        closing = self.closed and steps == self.last
        rung = self.high if closing else _walk(self.low, self.step, steps, self.sampling)
        return float(self._mirrored(rung))

    def closest(self, value: float) -> int:
        """The index of the rung that is closest to `value`, under "linear"."""
        steps = _steps(self.low, Decimal(repr(value)), self.step, "linear")
        return min(max(round(steps), 0), self.last)

    def nearest(self, value: float) -> int | None:
        """The index of the rung that `value` is, but for the noise of float arithmetic; None if it is none."""
        seen = self._mirrored(Decimal(repr(value)))
        if self.sampling != "linear" and seen <= 0:
            return None
        steps = _steps(self.low, seen, self.step, self.sampling)
        walked = min(max(round(steps), 0), self.last)
        index = self.last - walked if self.sampling == "reverse_log" else walked
        rung = self[index]
        scale = rung if self.sampling == "log" else max(abs(float(self.low)), abs(float(self.high)))
        near = abs(rung - value) <= 4 * math.ulp(scale) and abs(steps - walked) < Decimal("0.001")
        return index if near or rung == value else None

    def _mirrored(self, number: Decimal) -> Decimal:
        if self.sampling != "reverse_log":
            return number
        return _DECIMAL.subtract(_DECIMAL.add(self.low, self.high), number)


def _walk(start: Decimal, pace: Decimal, steps: int, sampling: Sampling) -> Decimal:
    if sampling == "linear":
        return _DECIMAL.fma(pace, steps, start)
    return _DECIMAL.multiply(start, _DECIMAL.power(pace, steps))


def _steps(start: Decimal, end: Decimal, pace: Decimal, sampling: Sampling) -> Decimal:
    if sampling == "linear":
        return _DECIMAL.divide(_DECIMAL.subtract(end, start), pace)
    return _DECIMAL.divide(_DECIMAL.ln(_DECIMAL.divide(end, start)), _DECIMAL.ln(pace))
