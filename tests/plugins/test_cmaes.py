"""CMA-ES: what it makes of a space, and that it proposes what the library proposes by itself."""

from __future__ import annotations

from typing import Any

import cmaes
import numpy as np
import pytest

import asynctune as at
from asynctune.errors import ConfigurationError
from asynctune.oracles import CMAES
from asynctune.records import State, Values
from asynctune.seeds import derive
from asynctune.space import Space
from asynctune.testing.rehearsal import OracleRehearsal

REALS = Space.of({"x": at.Float(-5, 5), "y": at.Float(1e-4, 1, sampling="log"), "z": at.Float(0, 1)})
MIXED = Space.of({"x": at.Float(-5, 5), "n": at.Int(0, 8, step=2), "size": at.Choice([16, 32, 64, 128])})


def minimised(oracle: at.Oracle, space: Any, **more: Any) -> OracleRehearsal:
    return OracleRehearsal(oracle, space=space, objective=at.Objective("loss", "min"), **more)


def loss(values: Values) -> float:
    return sum(float(value) ** 2 for value in values.values() if isinstance(value, int | float))


def test_it_proposes_what_the_library_proposes() -> None:
    seed, rehearsal = 3, minimised(CMAES(), REALS, seed=3)
    optimizer = cmaes.CMA(mean=np.full(3, 0.5), sigma=1 / 6, bounds=np.tile([0.0, 1.0], (3, 1)))
    solutions: list[Any] = []
    for number in range(5 * optimizer.population_size):
        optimizer.reseed_rng(derive(seed, "cmaes", number) % 2**32)
        point = optimizer.ask()
        expected = {name: REALS[name].from_unit(float(unit)) for name, unit in zip(REALS, point, strict=True)}  # type: ignore[union-attr]
        values = rehearsal.ask().values
        assert values == pytest.approx(expected, rel=1e-6)
        rehearsal.complete(number, loss(values))
        solutions.append((point, loss(expected)))
        if len(solutions) == optimizer.population_size:
            optimizer.tell(solutions)
            solutions = []


def test_steps_and_ordered_choices_have_equal_parts_and_what_was_tried_is_not_tried_again() -> None:
    rehearsal = minimised(CMAES(popsize=6), MIXED)
    seen: list[Values] = []
    for number in range(60):
        values = rehearsal.ask().values
        assert MIXED.validate(values) == values
        assert values not in seen
        seen.append(values)
        rehearsal.complete(number, loss(values))

    best = rehearsal.proposer.known.best
    assert best is not None
    assert (best.values["n"], best.values["size"]) == (0, 16)


def test_a_generation_is_ranked_by_the_trials_that_were_drawn_from_it_in_whatever_order_they_end() -> None:
    def next_after(order: list[int]) -> Values:
        rehearsal = minimised(CMAES(popsize=4), REALS)
        asked = [rehearsal.ask().values for _ in range(4)]
        for number in order:
            rehearsal.complete(number, loss(asked[number]))
        return rehearsal.ask().values

    assert next_after([0, 1, 2, 3]) == next_after([3, 1, 0, 2])


def test_what_ends_after_its_generation_is_not_used() -> None:
    def next_after(late: float) -> Values:
        rehearsal = minimised(CMAES(popsize=4), REALS)
        asked = [rehearsal.ask().values for _ in range(5)]
        for number in (0, 1, 3, 4):
            rehearsal.complete(number, loss(asked[number]))
        rehearsal.ask()  # the next generation has begun
        rehearsal.complete(2, late)
        return rehearsal.ask().values

    assert next_after(0.0) == next_after(1000.0)


def test_a_failure_ranks_last() -> None:
    def next_after(scores: list[float | None]) -> Values:
        rehearsal = minimised(CMAES(popsize=4), REALS)
        for number, score in enumerate(scores):
            rehearsal.ask()
            if score is None:
                rehearsal.fail(number)
            else:
                rehearsal.complete(number, score)
        return rehearsal.ask().values

    assert next_after([0.0, 1.0, 2.0, None]) == next_after([0.0, 1.0, 2.0, 1000.0])
    assert next_after([0.0, 1.0, 2.0, None]) != next_after([0.0, 1.0, 2.0, -1.0])


def test_it_begins_at_the_best_that_is_known_from_before() -> None:
    near = {"x": 4.0, "y": 0.5, "z": 0.9}
    rehearsal = minimised(CMAES(sigma0=0.001), REALS)
    rehearsal.proposer.on_trial_end(at.TrialView(id=-1, state=State.COMPLETED, values=near, score=1.0))

    assert rehearsal.ask().values == pytest.approx(near, rel=0.1)


def test_when_it_has_converged_it_begins_elsewhere_with_twice_the_popsize() -> None:
    space = Space.of({"x": at.Float(0, 1), "y": at.Float(0, 1)})
    rehearsal = minimised(CMAES(popsize=4), space)
    for number in range(3000):
        rehearsal.ask()
        rehearsal.complete(number, 1.0)  # flat: it converges anywhere
        if vars(rehearsal.oracle)["_runs"]:
            break

    assert vars(rehearsal.oracle)["_optimizer"].population_size == 8


def test_what_it_has_no_place_for_is_drawn_for_each_trial() -> None:
    space = Space.of({"x": at.Float(0, 1), "kind": at.Choice(["a", "b", "c"]), "flag": at.Boolean(), "fixed": 7})
    rehearsal = minimised(CMAES(), space)
    found = [rehearsal.ask().values for _ in range(30)]

    assert {values["kind"] for values in found} == {"a", "b", "c"}
    assert {values["flag"] for values in found} == {True, False}
    assert {values["fixed"] for values in found} == {7}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sigma0": 0}, r"CMAES\(sigma0=\.\.\.\) takes a number above 0 and at most 1, the whole range, not 0"),
        ({"sigma0": "wide"}, r"CMAES\(sigma0=\.\.\.\) takes a number"),
        ({"popsize": 3}, r"CMAES\(popsize=\.\.\.\) takes an integer of at least 4, or None, not 3"),
        ({"restarts": 1}, r"CMAES\(restarts=\.\.\.\) takes True or False, not 1"),
    ],
)
def test_what_cannot_be_is_said_when_it_is_made(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        CMAES(**arguments)


def test_its_settings_are_its_arguments() -> None:
    assert CMAES(popsize=5).settings() == {"sigma0": 1 / 6, "popsize": 5, "restarts": True}
