"""Choices of objects: labels outside, objects for the trial."""

from __future__ import annotations

import functools
import pickle
from typing import Any

import numpy as np
import pytest

from asynctune.errors import SpaceError
from asynctune.space import Choice, Domain
from asynctune.space.labels import label_of
from asynctune.wire import decode, encode, plain


def relu(x: float) -> float:
    return max(x, 0.0)


class Deep:
    def __call__(self) -> None: ...


def test_labels_are_given_in_a_dict() -> None:
    rule = object()
    domain = Choice({"relu": relu, "none": None, "rule": rule})

    assert domain.values == ("relu", "none", "rule")
    assert domain.default == "relu"
    assert not domain.ordered
    assert [domain.behind(label) for label in domain.values] == [relu, None, rule]
    assert domain.describe() == "Choice('relu', 'none', 'rule')"


def test_numbers_behind_labels_are_in_no_order() -> None:
    assert not Choice({"small": 8, "large": 64}).ordered


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (relu, "relu"),
        (Deep, "Deep"),
        (max, "max"),
        (np.tanh, "tanh"),
        ((1, 2), "(1, 2)"),
        ((1,), "(1,)"),
        ((), "()"),
        ([1, "a", None, (0.5, True)], "[1, 'a', None, (0.5, True)]"),
        ({"units": [8, 16], 3: "x"}, "{'units': [8, 16], 3: 'x'}"),
        ((np.int64(3), np.float64(0.5)), "(3, 0.5)"),
        (lambda: 1, None),
        (functools.partial(relu, 1), None),
        (Deep(), None),
        ((1, Deep()), None),
        ({(1, Deep()): 1}, None),
        ({1, 2}, None),
        (b"a", None),
    ],
)
def test_a_label_of_its_own(value: Any, label: str | None) -> None:
    assert label_of(value) == label


def test_what_stands_for_itself_and_what_has_a_label_go_together() -> None:
    domain = Choice([1, "adam", relu, (64, 32), None], default=relu)

    assert domain.values == (1, "adam", "relu", "(64, 32)", None)
    assert domain.default == "relu"
    assert [domain.behind(value) for value in domain.values] == [1, "adam", relu, (64, 32), None]


def test_a_value_may_come_as_its_object() -> None:
    layers = [64, 32]
    domain = Choice({"deep": layers, "relu": relu, "flat": [1]})

    assert domain.coerce(relu) == "relu"
    assert domain.coerce(layers) == "deep"
    assert domain.to_unit(relu) == domain.to_unit("relu") == 0.5
    assert Choice([(64, 32), (8,)]).coerce((64, 32)) == "(64, 32)"
    assert domain.contains("relu")
    assert not domain.contains(relu)  # what is recorded is the label
    for other in (max, [64, 32], (8, 4)):
        with pytest.raises(SpaceError, match=r"Choice\('deep', 'relu', 'flat'\) takes one of its values, not "):
            domain.coerce(other)
    with pytest.raises(SpaceError, match="takes one of its values, not "):
        Choice([(64, 32), (8,)]).coerce([64, 32])


def test_two_are_equal_if_their_labels_are() -> None:
    one, other = Choice({"relu": relu}), Choice({"relu": max})

    assert one == other == Choice(["relu"])
    assert hash(one) == hash(other)
    assert one.behind("relu") is not other.behind("relu")


def test_only_labels_are_written_down() -> None:
    domain = Choice({"relu": relu, "tanh": object()}, default="tanh")

    read = decode(encode(domain, Domain), Domain)
    assert read == domain
    assert read.behind("relu") == "relu"


def test_what_most_have_not_is_not_written_down() -> None:
    domain = Choice([1, 2])

    written = {"type": "Choice", "values": [1, 2], "ordered": True, "default": 1}
    assert plain(domain, Domain) == written
    assert plain(Choice([1, 2], grid=True), Domain) == {**written, "is_grid": True}


def test_it_is_pickled_with_its_objects() -> None:
    read = pickle.loads(pickle.dumps(Choice({"relu": relu})))

    assert read.behind("relu") is relu
