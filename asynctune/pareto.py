"""Several numbers at once: which points no other beats, and how much they cover.

Less is better in every place. This room knows nothing of trials.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

__all__ = ["Point", "dominates", "front", "hypervolume"]

Point: TypeAlias = tuple[float, ...]


def dominates(one: Point, other: Point) -> bool:
    """Whether `one` is as good as `other` everywhere, and better somewhere."""
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


def front(points: Sequence[Point]) -> list[int]:
    """The places of the points that no other dominates, in order; equal ones are all there. Costs O(n²) at worst."""
    # In this order nothing is dominated by what comes behind it.
    order = sorted(range(len(points)), key=lambda place: points[place])
    kept: list[int] = []
    for place in order:
        if not any(dominates(points[other], points[place]) for other in kept):
            kept.append(place)
    return sorted(kept)


def hypervolume(points: Sequence[Point], reference: Point) -> float:
    """The volume of what is dominated by one of the points and dominates `reference`; 0.0 when there is nothing.

    Exact, by the exclusive volumes of While, Bradstreet and Barone, "A Fast Way of Calculating Exact Hypervolumes" (2012).
    """
    inside = {point for point in points if all(a < r for a, r in zip(point, reference, strict=True))}
    kept = sorted(inside)
    return _volume([kept[place] for place in front(kept)], reference)


def _volume(points: Sequence[Point], reference: Point) -> float:
    # Of points that do not dominate each other, sorted.
    if len(reference) == 2:
        total, ceiling = 0.0, reference[1]
        for x, y in points:
            total += (reference[0] - x) * max(0.0, ceiling - y)
            ceiling = min(ceiling, y)
        return total
    total = 0.0
    for place, point in enumerate(points):
        box = math.prod(r - a for a, r in zip(point, reference, strict=True))
        pressed = {tuple(map(max, point, other)) for other in points[place + 1 :]}
        if pressed:
            behind = sorted(pressed)
            box -= _volume([behind[kept] for kept in front(behind)], reference)
        total += box
    return total
