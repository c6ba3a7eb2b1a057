"""Choice, Boolean and Fixed, case by case."""

from __future__ import annotations

import numpy as np
import pytest

from asynctune.errors import SpaceError
from asynctune.records import Value
from asynctune.space import Boolean, Choice, Domain, Fixed
from tests.space.strategies import exactly


def test_a_long_list_of_choices_is_looked_through_once() -> None:
    # Quadratic, it would take half an hour.
    domain = Choice([*range(300_000), True, 1.0, "1"])
    assert domain.size == 300_003
    assert not domain.contains(np.array([1, 2]))
    with pytest.raises(SpaceError, match="299999 is repeated"):
        Choice([*range(300_000), 299_999])


@pytest.mark.parametrize(
    ("domain", "unit", "value"),
    [
        (Choice(["a", "b", "c", "d"]), 0.0, "a"),
        (Choice(["a", "b", "c", "d"]), 0.5, "c"),
        (Choice(["a", "b", "c", "d"]), 1.0, "d"),
        (Choice([5]), 0.9, 5),
        (Boolean(), 0.0, False),
        (Boolean(), 0.49, False),
        (Boolean(), 0.5, True),
        (Boolean(), 1.0, True),
        (Fixed("x"), 0.3, "x"),
    ],
)
def test_from_unit(domain: Domain, unit: float, value: Value) -> None:
    assert exactly(domain.from_unit(unit)) == exactly(value)


@pytest.mark.parametrize(
    ("domain", "value", "unit"),
    [
        (Choice(["a", "b", "c", "d"]), "a", 0.125),
        (Choice(["a", "b", "c", "d"]), "d", 0.875),
        (Boolean(), False, 0.25),
        (Boolean(), True, 0.75),
        (Fixed(None), None, 0.5),
    ],
)
def test_to_unit(domain: Domain, value: Value, unit: float) -> None:
    assert domain.to_unit(value) == unit


def test_a_choice_keeps_the_types_of_its_values() -> None:
    # In KerasTuner bools become 1 and 0, None is refused, and types cannot be mixed.
    values: list[Value] = [True, 1, 1.0, "1", None]
    domain = Choice(values)

    assert [exactly(value) for value in domain.values] == [exactly(value) for value in values]
    assert [exactly(domain.coerce(value)) for value in values] == [exactly(value) for value in values]
    assert [exactly(domain.from_unit(domain.to_unit(value))) for value in values] == [exactly(value) for value in values]
    assert not Choice([1, 2]).contains(True)
    assert not Choice([1, 2]).contains(1.0)
    assert not Choice([False]).contains(0)


@pytest.mark.parametrize(
    ("domain", "default"),
    [
        (Choice(["a", "b"]), "a"),
        (Choice(["a", "b"], default="b"), "b"),
        (Choice(["a", "b"], default=None), "a"),  # as in KerasTuner, None is no default
        (Choice(["a", None]), "a"),
        (Choice(["a", None], default=None), None),  # unless it is a value
        (Choice([1, True], default=True), True),
        (Boolean(), False),
        (Boolean(default=True), True),
        (Fixed(3), 3),
    ],
)
def test_default(domain: Domain, default: Value) -> None:
    assert exactly(domain.default) == exactly(default)


@pytest.mark.parametrize(
    ("values", "ordered", "is_ordered"),
    [
        ([1, 2], None, True),
        ([1, 2.5], None, True),
        ([1, 2], False, False),
        (["a", "b"], None, False),
        (["a", "b"], False, False),
        ([True, False], None, False),
        ([1, None], None, False),
    ],
)
def test_numbers_are_ordered_unless_it_is_said_otherwise(values: list[Value], ordered: bool | None, is_ordered: bool) -> None:
    assert Choice(values, ordered=ordered).ordered is is_ordered


def test_sizes_and_values() -> None:
    assert (Choice(["a", "b"]).size, Choice(["a", "b"]).values) == (2, ("a", "b"))
    assert (Boolean().size, Boolean().values) == (2, (False, True))
    assert (Fixed("x").size, Fixed("x").values) == (1, ("x",))


def test_other_sequences_of_values_will_do() -> None:
    assert Choice(range(3)) == Choice((0, 1, 2)) == Choice([0, 1, 2])


def test_numpy_scalars_become_our_own() -> None:
    domain = Choice([np.int64(1), np.float64(0.5), np.str_("a"), np.bool_(True)])

    assert [exactly(value) for value in domain.values] == [exactly(value) for value in (1, 0.5, "a", True)]
    assert exactly(domain.coerce(np.bool_(True))) == exactly(True)
    assert Boolean(np.bool_(True)).default is True  # type: ignore[arg-type]
    assert Boolean().coerce(np.bool_(True)) is True
    assert exactly(Fixed(np.int64(3)).value) == exactly(3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("domain", "value", "message"),
    [
        (Choice(["a", "b"]), "c", "Choice('a', 'b') takes one of its values, not 'c'"),
        (Choice([1, 2]), 1.0, "Choice(1, 2) takes one of its values, not 1.0"),
        (Boolean(), 1, "Boolean() takes True or False, not 1"),
        (Fixed(3), 4, "Fixed(3) takes its value, not 4"),
        (Fixed(1), True, "Fixed(1) takes its value, not True"),
    ],
)
def test_other_values_are_refused(domain: Domain, value: Value, message: str) -> None:
    for refused in (domain.coerce, domain.to_unit):
        with pytest.raises(SpaceError) as caught:
            refused(value)
        assert str(caught.value) == message


@pytest.mark.parametrize(
    ("domain", "text"),
    [
        (Choice(["a", None], default=None), "Choice('a', None, default None)"),
        (Choice([1, 2], ordered=False), "Choice(1, 2, unordered)"),
        (Boolean(), "Boolean()"),
        (Boolean(True), "Boolean(default True)"),
        (Fixed("x"), "Fixed('x')"),
    ],
)
def test_describe(domain: Domain, text: str) -> None:
    assert domain.describe() == text
