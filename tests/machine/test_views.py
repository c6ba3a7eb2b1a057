"""What plugins are shown cannot be changed."""

import copy
import json
import pickle
from typing import Any

import pytest

from asynctune.frozen import FrozenDict

CHANGES = [
    lambda d: d.__setitem__("x", 2),
    lambda d: d.__delitem__("x"),
    lambda d: d.update(x=2),
    lambda d: d.clear(),
    lambda d: d.pop("x"),
    lambda d: d.popitem(),
    lambda d: d.setdefault("y", 2),
    lambda d: d.__ior__({"x": 2}),
]


@pytest.mark.parametrize("change", CHANGES)
def test_it_cannot_be_changed(change: Any) -> None:
    frozen = FrozenDict({"x": 1})
    with pytest.raises(TypeError, match="change a copy"):
        change(frozen)
    assert frozen == {"x": 1}


def test_otherwise_it_is_a_dict() -> None:
    frozen = FrozenDict({"x": 1})
    assert json.dumps(frozen) == '{"x": 1}'
    assert frozen | {"y": 2} == {**frozen, "y": 2} == {"x": 1, "y": 2}
    for other in (copy.copy(frozen), copy.deepcopy(frozen), frozen.copy(), pickle.loads(pickle.dumps(frozen)), frozen | {}):
        assert other == frozen
        assert type(other) is dict
