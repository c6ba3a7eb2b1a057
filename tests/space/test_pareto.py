"""Which points no other beats, and how much they cover."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynctune.pareto import Point, dominates, front, hypervolume

whole = st.integers(0, 5).map(float)


def points(places: int) -> st.SearchStrategy[list[Point]]:
    return st.lists(st.tuples(*[whole] * places), max_size=9)


def test_a_point_does_not_dominate_its_equal() -> None:
    assert not dominates((1.0, 2.0), (1.0, 2.0))
    assert dominates((1.0, 1.0), (1.0, 2.0))
    assert not dominates((0.0, 3.0), (1.0, 2.0))


@given(st.integers(1, 4).flatmap(points))
def test_the_front_is_what_no_other_dominates(given_points: list[Point]) -> None:
    expected = [place for place, point in enumerate(given_points) if not any(dominates(other, point) for other in given_points)]

    assert front(given_points) == expected


@given(st.integers(1, 4).flatmap(points))
def test_the_hypervolume_is_the_number_of_covered_unit_cubes(given_points: list[Point]) -> None:
    places = len(given_points[0]) if given_points else 2
    reference = (6.0,) * places
    cubes = itertools.product(range(6), repeat=places)
    covered = sum(any(all(a <= c for a, c in zip(point, cube, strict=True)) for point in given_points) for cube in cubes)

    assert hypervolume(given_points, reference) == covered


@pytest.mark.parametrize("point", [(2.0, 0.0), (0.0, 2.0), (math.inf, 0.0)])
def test_what_is_no_better_than_the_reference_covers_nothing(point: Point) -> None:
    assert hypervolume([point], (2.0, 2.0)) == 0.0
