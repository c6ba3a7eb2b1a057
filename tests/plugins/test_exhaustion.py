"""Finite spaces, tried to the last combination by every native oracle; none of them twice, and nothing that is forbidden."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from asynctune.oracles import (
    CMAES,
    TPE,
    ConcurrencyLimiter,
    GridSearch,
    Oracle,
    QuasiRandom,
    RandomSearch,
    RegularizedEvolution,
    Repeater,
    grouped,
)
from asynctune.records import SuggestionStatus
from asynctune.seeds import generator
from asynctune.space import Boolean, Choice, Float, HyperParameters, Int, Normal, Space
from asynctune.testing import OracleRehearsal
from tests.plugins.spaces import BRANCHES, TWINS, everything
from tests.plugins.trainables import same

RUN = SuggestionStatus.RUNNING
MAKERS: dict[str, Callable[[], Oracle]] = {
    "grid": GridSearch,
    "random": RandomSearch,
    "sobol": QuasiRandom,
    "halton": lambda: QuasiRandom(sequence="halton", scramble=False),
    "evolution": lambda: RegularizedEvolution(population_size=10),
    "limited": lambda: ConcurrencyLimiter(RegularizedEvolution(population_size=10), 4),
    "batches": lambda: ConcurrencyLimiter(QuasiRandom(), 4, batch=True),
    "tpe": TPE,
    "cma-es": CMAES,
}
QUANTA = Space({"a": Float(1, 10, sampling="log", quantum=0.5), "b": Int(4, 20, sampling="reverse_log", quantum=2)})
TWO_HUNDRED = Space({"a": Int(1, 10), "b": Choice(list("abcdefghij")), "c": Boolean()})


def is_smooth(values: dict[str, Any]) -> bool:
    return bool((values["a"] + 3 * values["b"]) % 4)


def trainable(hp: HyperParameters) -> float:
    return float(sum(map(len, map(repr, hp.values.values()))))


def searched(oracle: Oracle, space: Space, workers: int) -> OracleRehearsal:
    rng = generator(workers)
    rehearsal = OracleRehearsal(oracle, trainable, space=space)
    while True:
        while len(rehearsal.live()) < workers and rehearsal.ask().status is RUN:
            pass
        if not rehearsal.live():
            return rehearsal
        rehearsal.finish(rng.choice(rehearsal.live()))


@pytest.mark.parametrize("workers", [1, 8])
@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("space", [TWO_HUNDRED, BRANCHES, TWINS, QUANTA], ids=["two hundred", "branches", "twins", "quanta"])
def test_case_13_all_of_it_and_nothing_twice(space: Space, maker: str, workers: int) -> None:
    """Case 13: 200 of 200. KerasTuner's random search stops at 160, and its Gaussian process repeats itself."""
    rehearsal = searched(MAKERS[maker](), space, workers)
    found = [same(view.values) for view in rehearsal.trials.values()]
    assert len(found) == len(set(found)) == space.size
    assert set(found) == {same(values) for values in everything(space)}


@pytest.mark.parametrize("workers", [1, 8])
@pytest.mark.parametrize("maker", MAKERS)
def test_nothing_that_is_forbidden(maker: str, workers: int) -> None:
    parameters = {"a": Int(1, 8), "b": Int(1, 8), "kind": Choice(["x", "y"])}
    space = Space(parameters, forbidden=[{"kind": "x", "a": [1, 2, 3]}], feasible=[is_smooth])
    rehearsal = searched(MAKERS[maker](), space, workers)
    found = [same(view.values) for view in rehearsal.trials.values()]
    assert len(found) == len(set(found)) == space.size
    assert all(space.is_allowed(view.values) for view in rehearsal.trials.values())


def test_a_rounded_number_without_bounds_has_no_end() -> None:
    rehearsal = OracleRehearsal(RandomSearch(), space={"x": Normal(0, 1, step=1), "b": Boolean()})
    for trial in range(60):
        assert rehearsal.ask().status is RUN
        rehearsal.finish(trial)
    assert len({same(view.values) for view in rehearsal.trials.values()}) == 60


@pytest.mark.parametrize("workers", [1, 8])
def test_repeats_of_all_of_it(workers: int) -> None:
    rehearsal = searched(Repeater(RandomSearch(), times=2), BRANCHES, workers)
    groups = grouped(rehearsal.trials.values())
    assert [len(group.trials) for group in groups] == [2] * (BRANCHES.size or 0)
