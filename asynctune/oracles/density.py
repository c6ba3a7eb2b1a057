"""Where the values of some trials are dense: a kernel density estimate over a space, conditional or not."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from statistics import NormalDist, pstdev
from typing import Final

from attrs import define, field, frozen

from asynctune.records import Value, Values
from asynctune.space import Boolean, Cases, Choice, Domain, Space

__all__ = ["Density"]

_SCOTT: Final = 1.059  # of the normal reference rule: (4/3) ** (1/5), as statsmodels rounds it
_FLAT: Final = math.sqrt(2 * math.pi)


@frozen(eq=False)
class _Axis:
    """One parameter of all points.

    Attributes:
        places: where each point stands along the scale, or which category it is; None where it has no such value.
        width: of a kernel along the scale; for categories, the share of a kernel that lies elsewhere.
        categories: how many there are; 0 for a number.
    """

    places: Sequence[float | None]
    width: float
    categories: int

    def kernel(self, place: float) -> Callable[[float | None], float]:
        """The density, at `place`, of a kernel around each point. What has no value may be anywhere."""
        if self.categories:
            same, other, flat = 1 - self.width, self.width / (self.categories - 1), 1 / self.categories
            return lambda each: flat if each is None else same if each == place else other
        scale, rate = 1 / (self.width * _FLAT), -0.5 / self.width**2
        return lambda each: 1.0 if each is None else scale * math.exp(rate * (place - each) ** 2)


@define(eq=False)
class Density:
    """A product kernel around each of some points: normal along the scale of a number or an ordered choice, with the bandwidth
    of the normal reference rule (Scott, 1992); Aitchison and Aitken's (1976) for other choices, with a bandwidth by the same
    rule. A point that has no value for a parameter, under its conditions, says nothing of it.

    Args:
        space: not to change.
        points: at least one.
        least: the least bandwidth, as a part of a scale.
    """

    space: Space
    points: Sequence[Values]
    least: float
    # By the name of a parameter, and the domain that it has.
    _axes: dict[tuple[str, int], _Axis] = field(init=False, factory=dict)
    _rate: float = field(init=False)

    def __attrs_post_init__(self) -> None:
        dimensions = sum(not isinstance(each, Cases) and each.size != 1 for each in self.space.values())
        self._rate = len(self.points) ** (-1 / (4 + max(1, dimensions)))

    def at(self, values: Values) -> float:
        """How dense it is there."""
        kernels = [1.0] * len(self.points)
        for name, domain in self._active(values):
            axis = self._axis(name, domain)
            kernel = axis.kernel(domain.to_unit(values[name]))
            kernels = [each * kernel(place) for each, place in zip(kernels, axis.places, strict=True)]
        return math.fsum(kernels) / len(kernels)

    def draw(self, rng: Random, stretched: float) -> dict[str, Value]:
        """A combination from around one of the points, by kernels `stretched` times as wide; uniform where the point says
        nothing."""
        point = rng.randrange(len(self.points))
        drawn: dict[str, Value] = {}
        for name, parameter in self.space.items():
            domain = parameter.under(drawn) if isinstance(parameter, Cases) else parameter
            if domain is None:
                continue
            axis = self._axis(name, domain)
            place = axis.places[point]
            if place is None or (axis.categories and rng.random() < axis.width):
                drawn[name] = domain.from_unit(rng.random())
            elif axis.categories:
                drawn[name] = domain.coerce(self.points[point][name])
            else:
                drawn[name] = domain.from_unit(_truncated(rng.random(), place, axis.width * stretched))
        return drawn

    def _active(self, values: Values) -> list[tuple[str, Domain]]:
        return [(name, domain) for name, domain in self.space.active(values).items() if name in values and domain.size != 1]

    def _axis(self, name: str, domain: Domain) -> _Axis:
        axis = self._axes.get((name, id(domain)))
        if axis is None:
            axis = self._axes[name, id(domain)] = self._measured(name, domain)
        return axis

    def _measured(self, name: str, domain: Domain) -> _Axis:
        places = [domain.to_unit(each[name]) if name in each and domain.contains(each[name]) else None for each in self.points]
        known, categories = [place for place in places if place is not None], _categories(domain)
        if categories:
            # Of two categories that are numbered 0 and 1, this is the standard deviation.
            spread = math.sqrt((1 - sum((count / len(known)) ** 2 for count in Counter(known).values())) / 2) if known else 0.0
            return _Axis(places, min(max(_SCOTT * spread * self._rate, self.least), 1 - 1 / categories), categories)
        spread = pstdev(known) if known else 0.0
        finest = 0.5 / domain.size if domain.size else 0.0
        return _Axis(places, max(_SCOTT * spread * self._rate, self.least, finest), 0)


def _categories(domain: Domain) -> int:
    """How many values, where they have no order; 0 where they do, or where there is but one."""
    unordered = isinstance(domain, Boolean) or (isinstance(domain, Choice) and not domain.ordered)
    return domain.size if unordered and domain.size is not None and domain.size > 1 else 0


def _truncated(luck: float, centre: float, width: float) -> float:
    """A normally distributed number in [0, 1], by `luck` in [0, 1)."""
    normal = NormalDist(centre, width)
    low, high = normal.cdf(0.0), normal.cdf(1.0)
    share = min(max(low + luck * (high - low), 1e-12), 1 - 1e-12)
    return min(max(normal.inv_cdf(share), 0.0), 1.0)
