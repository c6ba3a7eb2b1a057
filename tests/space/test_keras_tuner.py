"""What KerasTuner 1.4.8 tests of its `HyperParameters`, by meaning (hyperparameters_test.py, Apache-2.0).

The outcome is the same there, where nothing else is said.
"""

from __future__ import annotations

import pytest

from asynctune.errors import SpaceError
from asynctune.space import Fixed, HyperParameters, Int


def test_name_scope() -> None:
    hp = HyperParameters()
    hp.Choice("choice", [1, 2, 3], default=2)
    with hp.name_scope("scope1"):
        hp.Choice("choice", [4, 5, 6], default=5)
        with hp.name_scope("scope2"):
            hp.Choice("choice", [7, 8, 9], default=8)
        hp.Int("range", min_value=0, max_value=10, step=1, default=0)

    assert hp.values == {"choice": 2, "scope1/choice": 5, "scope1/scope2/choice": 8, "scope1/range": 0}


def test_parent_name() -> None:
    hp = HyperParameters()
    hp.Choice("a", [1, 2, 3], default=2)

    assert hp.Int("b", 0, 10, parent_name="a", parent_values=1, default=5) is None
    assert hp.Int("b", 0, 100, parent_name="a", parent_values=2, default=4) == 4
    assert hp.values == {"a": 2, "b": 4}


def test_conditional_scope() -> None:
    hp = HyperParameters()
    hp.Choice("choice", [1, 2, 3], default=2)
    with hp.conditional_scope("choice", [1, 3]):
        child1 = hp.Choice("child_choice", [4, 5, 6])
    with hp.conditional_scope("choice", 2):
        child2 = hp.Choice("child_choice", [7, 8, 9])

    assert (child1, child2) == (None, 7)
    assert hp.values == {"choice": 2, "child_choice": 7}


def test_is_active_with_hp_name_and_hp() -> None:
    hp = HyperParameters(values={"child_choice2": 7})
    hp.Choice("choice", [1, 2, 3], default=3)
    with hp.conditional_scope("choice", [1, 3]):
        hp.Choice("child_choice", [4, 5, 6])
    with hp.conditional_scope("choice", 2):
        hp.Choice("child_choice2", [7, 8, 9])

    assert hp.is_active("child_choice")
    assert hp.is_active(hp.space["child_choice"])
    assert not hp.is_active("child_choice2")
    assert not hp.is_active(hp.space["child_choice2"])


@pytest.mark.parametrize(
    ("model", "values"),
    [("v1", {"model": "v1", "layers": 1, "units": 16}), ("v2", {"model": "v2", "layers": 2, "units": 32})],
)
def test_build_with_conditional_scope(model: str, values: dict[str, object]) -> None:
    """KerasTuner passes for "v1" alone: "v2" (case 2) raises KeyError in a search."""
    hp = HyperParameters(values={"model": model})
    hp.Choice("model", ["v1", "v2"])
    with hp.conditional_scope("model", "v1"):
        v1 = [hp.Int("layers", 1, 3), hp.Int("units", 16, 32)]
    with hp.conditional_scope("model", "v2"):
        v2 = [hp.Int("layers", 2, 4), hp.Int("units", 32, 64)]

    assert [v1, v2] == ([[1, 16], [None, None]] if model == "v1" else [[None, None], [2, 32]])
    assert hp.values == values


def test_nested_conditional_scopes_and_name_scopes() -> None:
    hp = HyperParameters()
    a = hp.Choice("a", [1, 2, 3], default=3)
    with hp.conditional_scope("a", [1, 3]):
        b = hp.Choice("b", [4, 5, 6], default=6)
        with hp.conditional_scope("b", 6):
            c = hp.Choice("c", [7, 8, 9])
            with hp.name_scope("d"):
                e = hp.Choice("e", [10, 11, 12])
    with hp.conditional_scope("a", 2):
        f = hp.Choice("f", [13, 14, 15])
        with hp.name_scope("g"):
            h = hp.Int("h", 0, 10)

    assert hp.values == {"a": 3, "b": 6, "c": 7, "d/e": 10}
    assert [a, b, c, e, f, h] == [3, 6, 7, 10, None, None]


def test_get_with_conditional_scopes() -> None:
    hp = HyperParameters()
    hp.Choice("a", [1, 2, 3], default=2)
    assert hp.get("a") == 2
    with hp.conditional_scope("a", 2):
        hp.Fixed("b", 4)
        assert hp.get("b") == 4
        assert hp.get("a") == 2
    with hp.conditional_scope("a", 3):
        hp.Fixed("b", 5)
        assert hp.get("b") == 4

    assert hp.get("b") == 4


def test_dict_methods() -> None:
    hps = HyperParameters()
    hps.Int("a", 0, 10, default=3)
    hps.Choice("b", [1, 2], default=2)
    with hps.conditional_scope("b", 1):
        hps.Float("c", -10, 10, default=3)
        with pytest.raises(ValueError, match="is inactive"):
            _ = hps["c"]
    with hps.conditional_scope("b", 2):
        hps.Float("c", -30, -20, default=-25)

    assert [hps["a"], hps["b"], hps["c"]] == [3, 2, -25]
    with pytest.raises(KeyError, match="no parameter 'd' is known"):
        _ = hps["d"]
    assert [name in hps for name in ("a", "b", "c", "d")] == [True, True, True, False]


def test_error_when_hp_same_name_as_condition() -> None:
    """KerasTuner: ValueError, "cannot have the same name as its parent"."""
    hp = HyperParameters()
    hp.Choice("a", [1, 2, 3], default=3)
    for values in ([1, 3], [1]):
        with hp.conditional_scope("a", values), pytest.raises(SpaceError, match="'a' is declared in its own conditional_scope"):
            hp.Choice("a", [4, 5, 6], default=6)


def test_merge() -> None:
    hp, hp2, hp3 = HyperParameters(), HyperParameters(), HyperParameters()
    hp.Int("a", 0, 100)
    hp.Fixed("b", 2)
    hp2.Fixed("a", 3)
    hp.Int("c", 10, 100, default=30)
    hp.merge(hp2)

    assert [hp.get("a"), hp.get("b"), hp.get("c")] == [3, 2, 30]

    hp3.Fixed("a", 5)
    hp3.Choice("d", [1, 2, 3], default=1)
    hp.merge(hp3, overwrite=False)

    assert [hp.get("a"), hp.get("b"), hp.get("c"), hp.get("d")] == [3, 2, 30, 1]
    # KerasTuner keeps both in `space`.
    assert (list(hp.space), hp.space["a"]) == (["a", "b", "c", "d"], Fixed(3))


def test_merge_inactive_hp_with_conditional_scopes() -> None:
    hp, hp2 = HyperParameters(), HyperParameters()
    hp.Choice("a", [1, 2, 3], default=3)
    assert hp.get("a") == 3
    with hp.conditional_scope("a", 2):
        hp.Fixed("b", 4)
    hp2.merge(hp)

    assert hp2.values == {"a": 3}
    assert hp2.space == hp.space


def test_return_populated_value_for_new_hp() -> None:
    """There, by assignment to `hp.values`."""
    hp = HyperParameters(values={"hp_name": "hp_value"})

    assert hp.Choice("hp_name", ["hp_value", "hp_value_default"], default="hp_value_default") == "hp_value"


def test_return_default_value_if_not_populated() -> None:
    hp = HyperParameters()

    assert hp.Choice("hp_name", ["hp_value", "hp_value_default"], default="hp_value_default") == "hp_value_default"


def test_another_range_under_the_same_name_is_said() -> None:
    """KerasTuner: the first range stands for ever, and nothing is said."""
    hp = HyperParameters()
    hp.Int("a", 0, 10)
    with pytest.raises(SpaceError, match=r"is Int\(0 to 10\) and was declared again as Int\(0 to 20\)"):
        hp.Int("a", 0, 20)
    assert hp.space == {"a": Int(0, 10)}
