"""Random search: nothing twice, and a small space to the last combination."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from asynctune.errors import SpaceError
from asynctune.oracles import RandomSearch
from asynctune.records import SuggestionStatus
from asynctune.seeds import generator
from asynctune.space import Boolean, Case, Cases, Choice, Condition, Fixed, Float, HyperParameters, Int, Space
from asynctune.testing import OracleRehearsal
from tests.plugins.spaces import BRANCHES, TWINS, everything
from tests.plugins.trainables import SEARCHES, effective, same

RUN, EXHAUSTED = SuggestionStatus.RUNNING, SuggestionStatus.EXHAUSTED


def search(rehearsal: OracleRehearsal, workers: int, trials: int = 10_000) -> list[str]:
    """Everything that is run, with so many at a time."""
    rng = generator(workers)
    while True:
        while len(rehearsal.live()) < workers and len(rehearsal.trials) < trials and rehearsal.ask().status is RUN:
            pass
        if not rehearsal.live():
            return [same(view.values) for view in rehearsal.trials.values()]
        rehearsal.finish(rng.choice(rehearsal.live()))


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("workers", [1, 8, 300])
@pytest.mark.parametrize(
    ("space", "size"),
    [
        ({"a": Int(1, 10), "b": Int(1, 20)}, 200),
        ({"a": Int(1, 10)}, 10),
        ({"a": Choice([1, 1.0, True]), "b": Float(0, 1, step=0.25), "always": Fixed("x"), "c": Boolean()}, 30),
        ({"rate": Float(1e-8, 1, step=10, sampling="log"), "n": Int(1, 10_000, sampling="log", step=10)}, 45),
        ({"n": Int(1, 300, sampling="log")}, 300),
        ({"fixed": Fixed(None)}, 1),
    ],
)
def test_a_small_space_is_tried_to_the_last(space: Any, size: int, workers: int, seed: int) -> None:
    tried = search(OracleRehearsal(RandomSearch(), space=space, seed=seed), workers)
    assert len(tried) == len(set(tried)) == size


def test_what_waits_and_what_runs_has_been_tried() -> None:
    rehearsal = OracleRehearsal(RandomSearch(), space={"a": Int(1, 6)})
    assert [rehearsal.ask().status for _ in range(7)] == [RUN] * 6 + [EXHAUSTED]
    assert {view.values["a"] for view in rehearsal.trials.values()} == {1, 2, 3, 4, 5, 6}


def test_what_failed_has_been_tried() -> None:
    rehearsal = OracleRehearsal(RandomSearch(), space={"a": Int(1, 6)})
    while rehearsal.ask().status is RUN:
        rehearsal.fail(len(rehearsal.trials) - 1)
    assert len(rehearsal.trials) == 6


@pytest.mark.parametrize(
    "space",
    [{"rate": Float(0, 1)}, {"rate": Float(0, 1), "b": Boolean()}, {"n": Int(0, 2**62)}, {"n": Int(1, 2**62, sampling="log")}],
)
def test_where_there_is_no_end_it_does_not_come_to_one(space: Any) -> None:
    tried = search(OracleRehearsal(RandomSearch(), space=space), workers=8, trials=1000)
    assert len(tried) == len(set(tried)) == 1000


@pytest.mark.parametrize("huge", [Float(0, 1), Int(0, 10**6), Int(1, 10**12, sampling="log")])
def test_a_branch_that_is_done_does_not_hide_one_that_is_not(huge: Any) -> None:
    """Nineteen of twenty kinds ask for nothing more, and have run; what is left is one kind, with any number of values."""

    def trainable(hp: HyperParameters) -> float:
        if hp.Choice("kind", list(range(20))) == 13:
            hp._ask("huge", lambda: huge)
        return 0.0

    rehearsal = OracleRehearsal(RandomSearch(), trainable)
    tried = search(rehearsal, workers=1, trials=200)
    assert len(tried) == len(set(tried)) == 200
    assert sum("huge" in values for values in tried) == 200 - 19


@pytest.mark.parametrize("trainable", SEARCHES[:-1])
@pytest.mark.parametrize("seed", range(4))
def test_found_on_the_way_one_at_a_time(trainable: Callable[[HyperParameters], float], seed: int) -> None:
    tried = search(OracleRehearsal(RandomSearch(), trainable, seed=seed), workers=1)
    assert len(tried) == len(set(tried))
    assert set(tried) == effective(trainable)


@pytest.mark.parametrize("trainable", SEARCHES[:-1])
@pytest.mark.parametrize("seed", range(4))
def test_found_on_the_way_many_at_a_time(trainable: Callable[[HyperParameters], float], seed: int) -> None:
    tried = search(OracleRehearsal(RandomSearch(), trainable, seed=seed), workers=4)
    assert set(tried) == effective(trainable)


def test_while_nothing_is_known_it_proposes_nothing() -> None:
    rehearsal = OracleRehearsal(RandomSearch(), lambda hp: hp.Float("rate", 0, 1))
    for _ in range(3):
        assert rehearsal.ask().values == {}
    rehearsal.finish(0)
    assert set(rehearsal.ask().values) == {"rate"}


def test_what_trials_draw_in_the_dark_is_known_once_the_parameters_are() -> None:
    rehearsal = OracleRehearsal(RandomSearch(), lambda hp: float(hp.Int("a", 1, 100)))
    for _ in range(30):
        rehearsal.ask()
    rehearsal.run(0)
    while rehearsal.ask().status is RUN:
        pass
    for trial in range(1, 30):
        rehearsal.run(trial)
    found = [view.values["a"] for view in rehearsal.trials.values()]
    assert set(found) == set(range(1, 101))
    assert not set(found[:30]) & set(found[30:])
    assert len(found[30:]) == len(set(found[30:]))


def test_whether_a_parameter_was_known_changes_nothing() -> None:
    def trainable(hp: HyperParameters) -> float:
        return hp.Float("rate", 0, 1) * hp.Int("n", 1, 10**6)

    declared = OracleRehearsal(RandomSearch(), trainable, space={"rate": Float(0, 1), "n": Int(1, 10**6)}, seed=3)
    dark = OracleRehearsal(RandomSearch(), trainable, seed=3)
    assert search(declared, workers=1, trials=20) == search(dark, workers=5, trials=20)


def test_a_trainable_without_parameters_is_run_as_often_as_you_like() -> None:
    assert len(search(OracleRehearsal(RandomSearch()), workers=3, trials=50)) == 50


def proposals(seed: int, count: int = 20) -> list[str]:
    rehearsal = OracleRehearsal(RandomSearch(), space={"rate": Float(1e-5, 1, sampling="log"), "n": Int(1, 9)}, seed=seed)
    return [same(rehearsal.ask().values) for _ in range(count)]


def test_the_seed_decides_and_nothing_else() -> None:
    assert proposals(0) == proposals(0)
    assert not set(proposals(0)) & set(proposals(1))


def test_what_a_trial_gets_depends_on_its_number_and_not_on_the_order_of_things() -> None:
    space = {"rate": Float(0, 1)}
    one = OracleRehearsal(RandomSearch(), space=space)
    for _ in range(10):
        one.ask()
    other = OracleRehearsal(RandomSearch(), space=space)
    for trial in range(10):
        other.ask()
        if trial % 2:
            other.finish(trial)
    assert [view.values for view in one.trials.values()] == [view.values for view in other.trials.values()]


def test_every_part_of_the_scale_is_drawn_from() -> None:
    rehearsal = OracleRehearsal(RandomSearch(), space={"rate": Float(1e-4, 1, sampling="log")})
    rates = [float(str(rehearsal.ask().values["rate"])) for _ in range(1000)]
    decades = [sum(10.0**-power <= rate < 10.0 ** (1 - power) for rate in rates) for power in (1, 2, 3, 4)]
    assert sum(decades) == 1000
    assert all(200 < count < 300 for count in decades)


def test_settings() -> None:
    assert RandomSearch().settings() == {}
    assert repr(RandomSearch()) == "RandomSearch()"


# ---------------------------------------------------------------------------------------- axes, conditions and rules


def test_axes_are_walked_as_a_product_by_the_number_of_the_trial_and_the_rest_is_drawn() -> None:
    space = {"a": Choice([1, 2], grid=True), "rate": Float(0, 1), "b": Choice(["x", "y", "z"], grid=True)}
    rehearsal = OracleRehearsal(RandomSearch(), space=space)
    drawn = [rehearsal.ask().values for _ in range(12)]
    product = [(1, "x"), (1, "y"), (1, "z"), (2, "x"), (2, "y"), (2, "z")]
    assert [(values["a"], values["b"]) for values in drawn] == product * 2
    assert len({values["rate"] for values in drawn}) == 12


def test_axes_alone_are_walked_once() -> None:
    space = {"a": Choice([1, 2], grid=True), "b": Choice(["x", "y"], grid=True)}
    found = search(OracleRehearsal(RandomSearch(), space=space), workers=1)
    assert found == [same({"a": a, "b": b}) for a in (1, 2) for b in ("x", "y")]


def test_axes_under_conditions() -> None:
    size = Choice([8, 16], grid=True)
    space = Space(
        {"kind": Choice(["a", "b"], grid=True), "size": Cases((Case((Condition("kind", "a"),), size),)), "c": Boolean()}
    )
    found = search(OracleRehearsal(RandomSearch(), space=space), workers=3)
    assert len(found) == len(set(found)) == space.size == 6


@pytest.mark.parametrize("workers", [1, 8])
def test_case_13_two_hundred_of_two_hundred(workers: int) -> None:
    """Case 13: a space of 200 is tried to the last, with no duplicate. KerasTuner's random search stops at 160."""
    space = {"a": Int(1, 10), "b": Choice(list("abcdefghij")), "c": Boolean()}
    found = search(OracleRehearsal(RandomSearch(), space=space), workers)
    assert len(found) == len(set(found)) == 200


@pytest.mark.parametrize("space", [BRANCHES, TWINS], ids=["branches", "twins"])
@pytest.mark.parametrize("workers", [1, 8])
def test_case_2_under_conditions_everything_is_tried_once(space: Space, workers: int) -> None:
    """Case 2: also with one name in two branches. KerasTuner fails every trial of one branch with a KeyError."""
    found = search(OracleRehearsal(RandomSearch(), space=space), workers)
    assert len(found) == len(set(found)) == space.size
    assert set(found) == {same(values) for values in everything(space)}


def test_case_6_zero_is_a_seed() -> None:
    """Case 6: seed=0 is a seed. KerasTuner draws another one."""
    assert proposals(0) == proposals(0)


def test_case_14_what_is_fixed_does_not_hide_what_was_tried() -> None:
    """Case 14: parameters that are not tuned tell no trial from another. KerasTuner ran 10 trials in a space of 3."""
    found = search(OracleRehearsal(RandomSearch(), space={"a": Int(1, 3), "b": Fixed(1), "c": "x"}), workers=1)
    assert len(found) == len(set(found)) == 3


@pytest.mark.parametrize("workers", [1, 8])
def test_what_the_rules_forbid_is_never_proposed(workers: int) -> None:
    parameters = {"a": Int(1, 6), "b": Int(1, 6), "kind": Choice(["x", "y"])}
    space = Space(parameters, forbidden=[{"a": [1, 2], "kind": "x"}], feasible=[sums_are_even])
    found = search(OracleRehearsal(RandomSearch(), space=space), workers)
    allowed = [values for values in everything(space) if space.is_allowed(values)]
    assert sorted(found) == sorted(same(values) for values in allowed)
    assert len(found) == space.size == 36 - 6


def sums_are_even(values: dict[str, Any]) -> bool:
    return bool((values["a"] + values["b"]) % 2 == 0)


def test_rules_that_tell_numbers_apart() -> None:
    """Where most of what is drawn is refused, something that is allowed is found all the same."""
    space = Space({"x": Float(0, 1), "y": Float(0, 1), "n": Int(1, 10**9)}, feasible=[lambda v: v["x"] + v["y"] < 0.05])
    found = search(OracleRehearsal(RandomSearch(), space=space), workers=2, trials=20)
    assert len(set(found)) == 20


def never(values: dict[str, Any]) -> bool:
    return False


def test_rules_that_allow_next_to_nothing_are_an_error() -> None:
    space = Space({"x": Float(0, 1), "n": Int(1, 3)}, feasible=[never])
    with pytest.raises(SpaceError, match=r"hardly any combination is allowed by the rules of the space \(feasible: .*never\)"):
        OracleRehearsal(RandomSearch(), space=space).ask()


def one_alone(values: dict[str, Any]) -> bool:
    return bool(values["a"] == 4 and values["b"])


def test_what_rules_leave_of_what_can_be_listed_is_found_and_then_nothing() -> None:
    rehearsal = OracleRehearsal(RandomSearch(), space=Space({"a": Int(1, 5), "b": Boolean()}, feasible=[one_alone]))
    assert rehearsal.ask().values == {"a": 4, "b": True}
    assert rehearsal.ask().status is EXHAUSTED


# ---------------------------------------------------------------------------------- KerasTuner's tests, by their meaning


def test_exhausted_search_space() -> None:
    """randomsearch_test.test_exhausted_search_space: 4 combinations are 4 trials (KerasTuner: 4), whatever max_trials is."""
    found = search(OracleRehearsal(RandomSearch(), space={"a": Choice([1, 2]), "b": Boolean()}), workers=1)
    assert len(found) == len(set(found)) == 4


def test_update_space() -> None:
    """randomsearch_test.test_update_space: what a trial names becomes part of the space (as in KerasTuner)."""
    rehearsal = OracleRehearsal(
        RandomSearch(), lambda hp: float(hp.Choice("a", [1, 2, 3]) + hp.Int("late", 1, 5)), space={"b": 7}
    )
    rehearsal.ask()
    rehearsal.run(0)
    assert set(rehearsal.ask().values) == {"b", "a", "late"}


def test_clauses_that_speak_of_some_of_too_many_numbers() -> None:
    """What is left of a range that is too long to list is nothing that is forbidden."""
    numbers = list(range(1, 40))
    space = Space({"n": Int(1, 10**6, sampling="log"), "kind": Choice(["x", "y"])}, forbidden=[{"n": numbers}])
    found = search(OracleRehearsal(RandomSearch(), space=space), workers=1, trials=100)
    assert len(set(found)) == 100
