"""A number without bounds: the domain `Normal`."""

from __future__ import annotations

import math
from statistics import NormalDist

from attrs import frozen

from asynctune.errors import SpaceError
from asynctune.space.checks import as_float, nearest, number, plain, sound_points, sound_unit, wrong
from asynctune.space.scales import closest_multiple, multiple

__all__ = ["Normal"]

_LEAST = 2.0**-53  # as far as what is drawn goes towards 0, and as close as floats come to 1
_WIDEST = 8.3  # standard deviations, to which that leads


@frozen(init=False)
class Normal:
    """A number that is normally distributed. It has no bounds: any finite number can be given, and whatever is drawn lies
    within 8.3 standard deviations of the mean.

    Args:
        mean: a finite number.
        sd: the standard deviation, above 0.
        step: what is drawn is rounded to a multiple of it; None means any number. Multiples are taken in decimal.
        default: one of the values; the mean, or the multiple of `step` that is closest to it, if it is None.

    Raises:
        SpaceError: naming the argument, what it takes and what it got.
    """

    mean: float
    sd: float
    step: float | None
    default: float

    def __init__(self, mean: float, sd: float, step: float | None = None, default: float | None = None) -> None:
        middle = number("Normal(mean=...)", mean)
        spread = number("Normal(sd=...)", sd, "a finite number above 0", math.nextafter(0, 1))
        farthest = abs(middle) + _WIDEST * spread
        if not math.isfinite(farthest):
            raise wrong("Normal(sd=...)", f"a spread around {middle!r} that floats can hold", sd)
        if step is not None:
            step = number("Normal(step=...)", step, "a finite number above 0", math.nextafter(0, 1))
            if step < 4 * math.ulp(farthest):
                raise wrong("Normal(step=...)", f"a step that floats up to {farthest!r} are fine enough for", step)
            if not math.isfinite(farthest + step):
                raise wrong("Normal(step=...)", "a step whose multiples floats can hold", step)
        start = _rounded(middle, step) if default is None else _on(nearest(plain(default)), step)
        if start is None:
            raise wrong("Normal(default=...)", "a finite number" if step is None else f"a multiple of {step!r}", default)
        self.__attrs_init__(middle, spread, step, start)

    @property
    def size(self) -> int | None:
        """None: there is no end of values."""
        return None

    @property
    def values(self) -> tuple[float, ...]:
        """Cannot be listed.

        Raises:
            SpaceError: always.
        """
        raise SpaceError(f"{self.describe()} has no end of values: use grid()")

    def grid(self, points: int = 10) -> tuple[float, ...]:
        """`points` values in increasing order, each in the middle of an equal part of the distribution; fewer with a step,
        where neighbours fall together."""
        points = sound_points(points)
        return tuple(sorted({self.from_unit((place + 0.5) / points) for place in range(points)}))

    def contains(self, value: object) -> bool:
        """Whether `value` is a finite float or an int (no bool), and a multiple of the step, if there is one."""
        exact = as_float(value)
        return exact is not None and _on(exact, self.step) == exact

    def coerce(self, value: object) -> float:
        """The value that `value` is; it may come as an int, or as NumPy's. What float arithmetic left of a step becomes the
        step.

        Raises:
            SpaceError: if it is not one of the values.
        """
        found = _on(as_float(plain(value)), self.step)
        if found is None:
            raise wrong(self.describe(), "a finite number" if self.step is None else f"a multiple of {self.step!r}", value)
        return found

    def from_unit(self, unit: float) -> float:
        """The value below which the part `unit` of the distribution lies."""
        within = min(max(sound_unit(unit), _LEAST), 1 - _LEAST)
        return _rounded(NormalDist(self.mean, self.sd).inv_cdf(within), self.step)

    def to_unit(self, value: object) -> float:
        """The part of the distribution that lies below `value`; with a step, the middle of the part that `from_unit` takes to
        it."""
        found, normal = self.coerce(value), NormalDist(self.mean, self.sd)
        if self.step is None:
            return normal.cdf(found)
        return (normal.cdf(found - self.step / 2) + normal.cdf(found + self.step / 2)) / 2

    def describe(self) -> str:
        """One line, the same for equal domains only."""
        by = "" if self.step is None else f", step {self.step!r}"
        default = "" if self.default == _rounded(self.mean, self.step) else f", default {self.default!r}"
        return f"Normal({self.mean!r}, sd {self.sd!r}{by}{default})"


def _rounded(value: float, step: float | None) -> float:
    return value if step is None else closest_multiple(value, step)


def _on(value: float | None, step: float | None) -> float | None:
    return value if value is None or step is None else multiple(value, step)
