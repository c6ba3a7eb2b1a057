"""Regularized evolution: what lives, what is varied, and how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from asynctune.errors import ConfigurationError
from asynctune.objective import Objective
from asynctune.oracles import RandomSearch, RegularizedEvolution
from asynctune.records import SuggestionStatus, Value
from asynctune.seeds import generator
from asynctune.space import Boolean, Choice, Fixed, Float, HyperParameters, Int, Space
from asynctune.testing import OracleRehearsal
from tests.plugins.spaces import BRANCHES, TWINS

RUN = SuggestionStatus.RUNNING
SPACE = {"kind": Choice(["a", "b", "c"]), "x": Float(0, 1), "n": Int(1, 9), "deep": Boolean(), "size": Choice([8, 16, 32])}


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ({"population_size": 1}, r"population_size=\.\.\.\) takes an integer of at least 2 and at most 1,000,000, not 1"),
        ({"population_size": 2.0}, r"population_size=\.\.\.\) takes an integer"),
        ({"population_size": "25"}, r"population_size=\.\.\.\) takes an integer"),
        ({"sample_size": 0}, r"sample_size=\.\.\.\) takes an integer of at least 1"),
        ({"sample_size": None}, r"sample_size=\.\.\.\) takes an integer of at least 1"),
        ({"population_size": 4, "sample_size": 5}, r"sample_size=5\) is more than population_size=4"),
        ({"spread": 0}, r"spread=\.\.\.\) takes a number above 0 and at most 1, not 0"),
        ({"spread": 1.5}, r"spread=\.\.\.\) takes a number above 0"),
    ],
)
def test_arguments(arguments: dict[str, Any], wanted: str) -> None:
    with pytest.raises(ConfigurationError, match=r"RegularizedEvolution\(" + wanted):
        RegularizedEvolution(**arguments)


def test_defaults() -> None:
    assert RegularizedEvolution().settings() == {"population_size": 20, "sample_size": 10, "spread": 0.1}
    assert RegularizedEvolution(population_size=2).sample_size == 1


def played(oracle: RegularizedEvolution, trials: int, workers: int = 1, seed: int = 0, **more: Any) -> OracleRehearsal:
    """A search whose trials end in an order drawn from `seed`."""
    rng = generator(seed)
    rehearsal = OracleRehearsal(oracle, seed=seed, **more)
    while len(rehearsal.trials) < trials or rehearsal.live():
        while len(rehearsal.live()) < workers and len(rehearsal.trials) < trials:
            assert rehearsal.ask().status is RUN
        rehearsal.finish(rng.choice(rehearsal.live()))
    return rehearsal


def differences(one: Mapping[str, Value], other: Mapping[str, Value]) -> list[str]:
    return [name for name in one if (type(one[name]), one[name]) != (type(other[name]), other[name])]


def test_at_first_it_draws_as_random_search_does() -> None:
    random, evolution = OracleRehearsal(RandomSearch(), space=SPACE), OracleRehearsal(RegularizedEvolution(), space=SPACE)
    for trial in range(20):
        assert evolution.ask().values == random.ask().values
        evolution.finish(trial)
    assert evolution.ask().values != random.ask().values


def test_a_child_differs_from_its_parent_in_one_parameter_whatever_that_is() -> None:
    """With a sample of the whole population, drawn many times, the parent is one of few; the child is next to one of all."""
    rehearsal = played(RegularizedEvolution(population_size=10), 200, space=SPACE)
    views, changed = list(rehearsal.trials.values()), set[str]()
    for number in range(10, 200):
        near = min((differences(view.values, views[number].values) for view in views[number - 10 : number]), key=len)
        assert len(near) == 1
        changed |= set(near)
    assert changed == set(SPACE)


def test_the_parent_is_the_best_of_the_sample_and_the_oldest_have_died() -> None:
    """All are as good as they are old, so the best of those that live is the first of them."""
    rehearsal = OracleRehearsal(RegularizedEvolution(population_size=5, sample_size=5), space=SPACE, seed=3)
    parents = []
    for number in range(60):
        values = rehearsal.ask().values
        if number >= 5:
            near = [n for n in range(number) if len(differences(rehearsal.trials[n].values, values)) == 1]
            parents += [min((number - n for n in near if number - n <= 5), default=0)]
        rehearsal.complete(number, -float(number))
    assert all(1 <= age <= 5 for age in parents)
    # Of five draws with replacement out of five, the oldest is the best in 67 %.
    assert sum(age == 5 for age in parents) > 25


def test_what_failed_and_what_has_no_score_is_ignored() -> None:
    rehearsal = OracleRehearsal(RegularizedEvolution(population_size=3, sample_size=3), space=SPACE)
    random = OracleRehearsal(RandomSearch(), space=SPACE)
    for trial in range(30):
        assert rehearsal.ask().values == random.ask().values
        if trial % 2:
            rehearsal.fail(trial)
        else:
            rehearsal.complete(trial, None, stop_reason="no score")


@pytest.mark.parametrize("workers", [1, 4, 40])
def test_it_never_waits(workers: int) -> None:
    rehearsal = played(RegularizedEvolution(population_size=8), 100, workers=workers, space=SPACE)
    assert len(rehearsal.trials) == 100


@pytest.mark.parametrize("space", [BRANCHES, TWINS], ids=["branches", "twins"])
@pytest.mark.parametrize("workers", [1, 8])
def test_under_conditions_children_are_whole_and_nothing_is_tried_twice(space: Space, workers: int) -> None:
    rehearsal = OracleRehearsal(RegularizedEvolution(population_size=4), lambda hp: float(len(hp.values)), space=space)
    while rehearsal.ask().status is RUN:
        if len(rehearsal.live()) == workers:
            rehearsal.finish(rehearsal.live()[-1])
    proposed = [call.answer.values for call in rehearsal.calls if call.hook == "populate_space"][:-1]
    assert all(space.validate(values) == values for values in proposed)
    assert len({repr(values) for values in proposed}) == len(proposed) == space.size


def test_what_a_trial_never_asked_for_is_not_varied() -> None:
    def trainable(hp: HyperParameters) -> float:
        return hp.Float("x", 0, 1) if hp.Boolean("deep", default=True) else hp.Float("y", 0, 1)

    rehearsal = played(RegularizedEvolution(population_size=4), 60, trainable=trainable)
    assert all(set(view.values) in ({"deep", "x"}, {"deep", "y"}) for view in rehearsal.trials.values())


def test_a_space_of_one_combination_is_exhausted() -> None:
    rehearsal = OracleRehearsal(RegularizedEvolution(population_size=2), space={"a": Fixed(1)})
    rehearsal.ask()
    rehearsal.finish(0)
    assert rehearsal.ask().status is SuggestionStatus.EXHAUSTED


@pytest.mark.parametrize("direction", ["min", "max"])
def test_it_finds_its_way(direction: Any) -> None:
    """A valley in five dimensions, with a category to get right: better than the same number of draws, for most seeds."""

    def valley(hp: HyperParameters) -> float:
        far = sum((hp.Float(f"x{i}", 0, 1) - 0.3 * i / 4 - 0.2) ** 2 for i in range(4))
        loss = far + {"a": 0.5, "b": 0.0, "c": 1.0}[str(hp.Choice("kind", ["a", "b", "c"]))]
        return loss if direction == "min" else -loss

    def best(oracle: Any, seed: int) -> float:
        rehearsal = OracleRehearsal(oracle, valley, space=space, seed=seed, objective=Objective("loss", direction))
        for trial in range(100):
            rehearsal.ask()
            rehearsal.finish(trial)
        return min(abs(view.score or 0.0) for view in rehearsal.trials.values())

    space = {"kind": Choice(["a", "b", "c"]), **{f"x{i}": Float(0, 1) for i in range(4)}}
    wins = sum(best(RegularizedEvolution(), seed) < best(RandomSearch(), seed) for seed in range(10))
    assert wins >= 8
