"""Points sorted into fronts: the first are those that no other point beats, the next those that only the first beat, and so on.

Less is better in every place. This room knows nothing of trials.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from attrs import Factory, define

from asynctune.pareto import Point, dominates

__all__ = ["Fronts", "spread"]


@define
class Fronts:
    """A collection of points that only grows, in its fronts.

    Adding one point to n costs O(n) comparisons at worst, and O(log n) where each front is short: "Efficient Non-domination
    Level Update" of Li, Deb, Zhang and Kwong (2017).
    """

    _fronts: list[list[Point]] = Factory(list)

    def add(self, point: Point) -> int:
        """Count `point` in. Returns the place of its front."""
        low, high = 0, len(self._fronts)
        while low < high:  # whoever is beaten in a front is beaten in all before it
            middle = (low + high) // 2
            if any(dominates(other, point) for other in self._fronts[middle]):
                low = middle + 1
            else:
                high = middle
        self._push([point], low)
        return low

    def before(self, place: int) -> int:
        """How many points the fronts before this one have."""
        return sum(map(len, self._fronts[:place]))

    def __getitem__(self, place: int) -> Sequence[Point]:
        """The points of a front."""
        return self._fronts[place]

    def __len__(self) -> int:
        """How many fronts there are."""
        return len(self._fronts)

    def _push(self, coming: list[Point], place: int) -> None:
        """These come to this front, and whom they beat goes on to the next."""
        while coming:
            if place == len(self._fronts):
                self._fronts.append(coming)
                return
            here = self._fronts[place]
            beaten = [each for each in here if any(dominates(other, each) for other in coming)]
            if len(beaten) == len(here):
                self._fronts.insert(place, coming)  # all of them move on together, and so does everybody behind
                return
            lost = set(beaten)
            self._fronts[place] = [*(each for each in here if each not in lost), *coming]
            coming, place = beaten, place + 1


def spread(points: Sequence[Point], count: int) -> list[Point]:
    """So many of the points, or all: those that are spread best. The first is the best in the first place, and each next one is
    the farthest from all before it, where every place is scaled to the range that it has among the points (an epsilon-net, as
    of Salinas et al., 2021). Of equal points there is one."""
    left = sorted(set(points))
    if len(left) <= count:
        return left
    axes = list(zip(*left, strict=True))
    ends = [(min(axis), max(axis)) for axis in axes]
    scaled = {
        point: tuple(
            (each / 2 - low / 2) / (high / 2 - low / 2) if high > low else 0.0
            for each, (low, high) in zip(point, ends, strict=True)
        )
        for point in left
    }
    chosen = [left[0]]
    far = {point: math.dist(scaled[point], scaled[chosen[0]]) for point in left[1:]}
    while len(chosen) < count:
        newest = max(far, key=lambda point: far[point])
        del far[newest]
        chosen.append(newest)
        far = {point: min(before, math.dist(scaled[point], scaled[newest])) for point, before in far.items()}
    return chosen
