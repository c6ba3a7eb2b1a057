"""Numbers without bounds, and numbers that are multiples under a log."""

from __future__ import annotations

from statistics import NormalDist

import pytest

from asynctune.errors import SpaceError
from asynctune.space import Domain, Float, Int, Normal
from asynctune.wire import plain


def test_it_is_drawn_from_the_distribution() -> None:
    domain, expected = Normal(10, 2), NormalDist(10, 2)

    assert [domain.from_unit(unit) for unit in (0.1, 0.5, 0.9)] == [expected.inv_cdf(unit) for unit in (0.1, 0.5, 0.9)]
    assert domain.to_unit(12) == pytest.approx(expected.cdf(12))
    assert domain.size is None


def test_the_ends_of_the_units_are_far_away_and_finite() -> None:
    domain = Normal(0, 1)

    assert -8.3 < domain.from_unit(0) < -8
    assert 8 < domain.from_unit(1) < 8.3


def test_any_finite_number_is_one_of_its_values() -> None:
    domain = Normal(0, 1)

    assert [domain.contains(value) for value in (0.5, -1e300, 3, True, "1", float("nan"))] == [True, True, True, *[False] * 3]
    assert type(domain.coerce(3)) is float
    assert domain.to_unit(1e300) == 1.0
    with pytest.raises(SpaceError, match=r"Normal\(0\.0, sd 1\.0\) takes a finite number, not 'x'"):
        domain.coerce("x")


def test_a_step_is_what_its_values_are_multiples_of() -> None:
    domain = Normal(0.33, 1, step=0.1)

    assert domain.default == 0.3
    assert domain.from_unit(0.5) == 0.3
    assert domain.to_unit(0.3) == pytest.approx((NormalDist(0.33, 1).cdf(0.25) + NormalDist(0.33, 1).cdf(0.35)) / 2)
    assert domain.coerce(0.1 + 0.2) == 0.3
    assert domain.contains(0.3)
    assert not domain.contains(0.35)
    with pytest.raises(SpaceError, match=r"Normal\(0\.33, sd 1\.0, step 0\.1\) takes a multiple of 0\.1, not 0\.35"):
        domain.coerce(0.35)


def test_a_grid_has_a_point_in_each_equal_part() -> None:
    assert Normal(0, 1).grid(2) == pytest.approx((-0.6745, 0.6745), abs=1e-4)
    assert Normal(0, 1, step=1).grid(10) == (-2.0, -1.0, -0.0, 1.0, 2.0)
    with pytest.raises(SpaceError, match=r"Normal\(0\.0, sd 1\.0\) has no end of values: use grid\(\)"):
        _ = Normal(0, 1).values


@pytest.mark.parametrize(
    ("domain", "values"),
    [
        (Int(5, 20, sampling="log", quantum=5), (5, 10, 15, 20)),
        (Int(5, 20, sampling="reverse_log", quantum=5), (5, 10, 15, 20)),
        (Int(6, 6, sampling="log", quantum=3), (6,)),
        (Float(0.1, 0.5, sampling="log", quantum=0.1), (0.1, 0.2, 0.3, 0.4, 0.5)),
        (Float(0.1 * 3, 0.5, sampling="reverse_log", quantum=0.1), (0.3, 0.4, 0.5)),
        (Float(1.5, 1.5, sampling="log", quantum=0.5), (1.5,)),
    ],
)
def test_multiples(domain: Int | Float, values: tuple[float, ...]) -> None:
    assert list(map(repr, domain.values)) == list(map(repr, values))
    assert domain.size == len(values)
    assert [domain.from_unit(domain.to_unit(value)) for value in values] == list(values)


def test_reverse_log_is_the_mirror_image() -> None:
    units = [place / 1000 for place in range(1001)]
    for log, mirrored in (
        (Int(5, 50, sampling="log", quantum=5), Int(5, 50, sampling="reverse_log", quantum=5)),
        (Float(0.5, 5, sampling="log", quantum=0.5), Float(0.5, 5, sampling="reverse_log", quantum=0.5)),
    ):
        both = log.min_value + log.max_value
        assert [mirrored.from_unit(unit) for unit in units] == pytest.approx([both - log.from_unit(1 - unit) for unit in units])


def test_a_grid_of_multiples_is_spread_over_the_scale() -> None:
    assert Int(10, 1000, sampling="log", quantum=10).grid(3) == (10, 100, 1000)
    assert Int(10, 30, sampling="log", quantum=10).grid(3) == (10, 20, 30)
    assert Float(0.1, 1000, sampling="log", quantum=0.1).grid(5) == (0.1, 1.0, 10.0, 100.0, 1000.0)
    assert Float(0.1, 0.3, sampling="log", quantum=0.1).grid(3) == (0.1, 0.2, 0.3)


def test_what_most_have_not_is_not_written_down() -> None:
    assert "quantum" not in plain(Int(1, 2), Domain)
    assert "quantum" not in plain(Float(1, 2), Domain)
    assert plain(Int(2, 8, sampling="log", quantum=2), Domain)["quantum"] == 2


@pytest.mark.parametrize(
    ("domain", "text"),
    [
        (Normal(0, 1), "Normal(0.0, sd 1.0)"),
        (Normal(0, 1, 0.5, 1.5), "Normal(0.0, sd 1.0, step 0.5, default 1.5)"),
        (Int(5, 20, sampling="log", quantum=5), "Int(5 to 20, log, quantum 5)"),
        (Float(0.5, 2, sampling="log", quantum=0.5, default=1), "Float(0.5 to 2.0, log, quantum 0.5, default 1.0)"),
    ],
)
def test_describe(domain: Domain, text: str) -> None:
    assert domain.describe() == text
