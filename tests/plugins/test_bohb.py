"""BOHB's oracle: which rung its model is of, what it proposes, and what is dense where."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import pytest

from asynctune import schedulers
from asynctune.errors import ConfigurationError
from asynctune.messages import RunTrial
from asynctune.objective import Objective
from asynctune.oracles import BOHB
from asynctune.oracles.density import Density
from asynctune.records import State, TrialId, Values
from asynctune.space import Boolean, Choice, Float, HyperParameters, Int, Space, When
from asynctune.testing import Behaviour, OracleRehearsal, SimulatedSearch

SPACE = {"x": Float(0, 1), "kind": Choice(["a", "b", "c"])}


def rehearse(space: Any = None, **settings: Any) -> OracleRehearsal:
    oracle = BOHB(**{"max_steps": 9, "random_fraction": 0, **settings})
    return OracleRehearsal(oracle, space=space or SPACE, objective=Objective("loss", "min"))


def feed(rehearsal: OracleRehearsal, count: int, steps: int, loss: Any) -> list[TrialId]:
    """So many trials, that report their loss at each of the first steps, and end."""
    trials = []
    for _ in range(count):
        rehearsal.ask()
        trial = len(rehearsal.trials) - 1
        for _ in range(steps):
            rehearsal.report(trial, loss(rehearsal.trials[trial].values))
        rehearsal.complete(trial, loss(rehearsal.trials[trial].values))
        trials.append(trial)
    return trials


@pytest.mark.parametrize(
    ("settings", "rungs"),
    [
        ({"max_steps": 81}, (1, 3, 9, 27, 81)),
        ({"max_steps": 100, "factor": 4}, (1, 6, 25, 100)),
        ({"max_steps": 81, "grace": 5}, (9, 27, 81)),
        ({"max_steps": 1}, (1,)),
    ],
)
def test_rungs(settings: dict[str, Any], rungs: tuple[int, ...]) -> None:
    assert BOHB(**settings).rungs == rungs
    assert schedulers.HyperBand(**settings).shapes[0].steps == rungs


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"max_steps": 2, "grace": 3}, r"BOHB\(max_steps=2\) is below grace=3: there is no rung"),
        ({"max_steps": 9, "factor": 1}, r"factor=.*not 1"),
        ({"max_steps": 9, "min_points": 1}, r"min_points=.*not 1"),
        ({"max_steps": 9, "top_share": 0}, r"top_share=.*not 0"),
        ({"max_steps": 9, "candidates": 0}, r"candidates=.*not 0"),
        ({"max_steps": 9, "random_fraction": 1.1}, r"random_fraction=.*not 1\.1"),
        ({"max_steps": 9, "bandwidth_factor": 0.5}, r"bandwidth_factor=.*not 0\.5"),
        ({"max_steps": 9, "min_bandwidth": 0}, r"min_bandwidth=.*not 0"),
    ],
)
def test_what_makes_no_model_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        BOHB(**settings)


def test_it_learns_where_it_is_good() -> None:
    rehearsal = rehearse(min_points=4)

    def loss(values: Any) -> float:
        return abs(float(values["x"]) - 0.3) + float(values["kind"] != "b")

    feed(rehearsal, 30, 1, loss)
    later = [rehearsal.trials[trial].values for trial in feed(rehearsal, 30, 1, loss)]
    assert sum(values["kind"] == "b" for values in later) > 15
    assert sum(loss({**values, "kind": "b"}) < 0.25 for values in later) > 15


def test_the_model_is_of_the_highest_rung_with_trials_enough() -> None:
    # At step 1 small values of x are good, at step 3 large ones are.
    oracle = BOHB(max_steps=9, random_fraction=0, min_points=4)
    rehearsal = OracleRehearsal(oracle, space={"x": Float(0, 1)}, objective=Objective("loss", "min"))
    feed(rehearsal, 20, 1, lambda values: values["x"])
    low = [rehearsal.trials[trial].values["x"] for trial in feed(rehearsal, 10, 1, lambda values: values["x"])]
    for _ in range(10):
        rehearsal.ask()
        trial = len(rehearsal.trials) - 1
        x: Any = rehearsal.trials[trial].values["x"]
        for loss in (x, 0.0, -x):
            rehearsal.report(trial, loss)
        rehearsal.complete(trial, 0.0)
    assert [len(seen) for seen in oracle._seen] == [40, 10, 0]
    high = [rehearsal.trials[trial].values["x"] for trial in feed(rehearsal, 10, 0, lambda values: 0.0)]
    assert sum(low) < sum(high)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("count", "least", "top_share", "good", "bad"),
    [
        (5, 3, 0.15, 3, 3),  # the least that a model is made of: they overlap
        (6, 3, 0.15, 3, 3),
        (10, 3, 0.15, 3, 7),
        (100, 3, 0.15, 15, 85),
        (10, 3, 0.8, 8, 3),
        (10, 3, 1.0, 10, 3),
        (300, 400, 0.15, 300, 300),  # older ones are not looked at, however many are wanted
    ],
)
def test_both_densities_are_of_enough_trials(count: int, least: int, top_share: float, good: int, bad: int) -> None:
    ranked: list[Values] = [{"x": float(place)} for place in range(count)]
    best, rest = BOHB(max_steps=9, top_share=top_share)._parted(ranked, least)
    assert (len(best), len(rest)) == (good, bad)
    assert (best, rest) == (ranked[:good], ranked[-bad:])


def test_a_trial_counts_once_at_each_rung_it_comes_to() -> None:
    oracle = BOHB(max_steps=9)
    rehearsal = OracleRehearsal(oracle, space=SPACE, objective=Objective("loss", "min"))
    feed(rehearsal, 3, 5, lambda values: 1.0)
    assert [len(seen) for seen in oracle._seen] == [3, 3, 0]


def test_a_trial_that_reports_nothing_counts_by_its_score() -> None:
    oracle = BOHB(max_steps=9)
    rehearsal = OracleRehearsal(oracle, space=SPACE, objective=Objective("loss", "max"))
    rehearsal.observe({"x": 0.5, "kind": "a"}, 3.0)
    rehearsal.observe({"x": 0.5, "kind": "a"}, None, State.FAILED)
    feed(rehearsal, 1, 0, lambda values: 2.0)
    assert [loss for loss, _ in oracle._seen[-1]] == [-3.0, -2.0]


def test_what_diverged_is_the_worst() -> None:
    rehearsal = rehearse({"x": Float(0, 1)}, min_points=3)
    feed(rehearsal, 30, 1, lambda values: math.nan if values["x"] > 0.5 else 1.0)
    later = [rehearsal.trials[trial].values["x"] for trial in feed(rehearsal, 20, 1, lambda values: 1.0)]
    assert sum(value < 0.6 for value in later) > 15  # type: ignore[operator]


def test_the_same_seed_proposes_the_same() -> None:
    def proposed() -> list[Any]:
        rehearsal = rehearse(random_fraction=0.3)
        feed(rehearsal, 25, 2, lambda values: values["x"])
        return [view.values for view in rehearsal.trials.values()]

    assert proposed() == proposed()


# ------------------------------------------------------------------------------------------------------------- density


def test_a_density_is_one_in_all() -> None:
    space = Space.of({"x": Float(0, 1)})
    density = Density(space, [{"x": 0.4}, {"x": 0.5}, {"x": 0.6}], 0.001)
    assert sum(density.at({"x": place / 200}) for place in range(201)) / 200 == pytest.approx(1, abs=0.03)
    assert density.at({"x": 0.5}) > density.at({"x": 0.3}) > density.at({"x": 0.0})


def test_categories_share_what_is_theirs() -> None:
    space = Space.of({"kind": Choice(["a", "b", "c"]), "flag": Boolean()})
    density = Density(space, [{"kind": "a", "flag": True}] * 8, 0.001)
    all_of_them = [density.at({"kind": kind, "flag": flag}) for kind in "abc" for flag in (True, False)]
    assert sum(all_of_them) == pytest.approx(1)
    assert all_of_them[0] == max(all_of_them)


def test_what_is_drawn_is_of_the_space() -> None:
    space = Space.of({"kind": Choice(["a", "b"]), "n": When("kind", "a", Int(1, 5)), "m": When("kind", "b", Float(0, 1))})
    density = Density(space, [{"kind": "a", "n": 3}, {"kind": "b", "m": 0.25}], 0.001)
    rng = Random(0)
    for _ in range(200):
        values = density.draw(rng, 3.0)
        assert space.validate(values) == values
        assert density.at(values) > 0


# ---------------------------------------------------------------------------------------------------- in a whole search


def test_with_its_scheduler_it_finds_what_random_search_does_not() -> None:
    def script(order: RunTrial, hp: HyperParameters) -> Behaviour:
        x, y = hp.Float("x", 0, 1), hp.Float("y", 0, 1)
        final = (x - 0.7) ** 2 + (y - 0.2) ** 2
        reports = [(1.0, {"loss": final + 1 / step}) for step in range(order.step + 1, 10)]
        return Behaviour(reports=reports, checkpoints=True)

    scheduler = schedulers.BOHB(max_steps=9)
    search = SimulatedSearch(
        script=script,
        oracle=scheduler.oracle(),
        scheduler=scheduler,
        space={"x": Float(0, 1), "y": Float(0, 1)},
        workers=4,
        max_trials=80,
    ).run()
    assert search.end is not None
    late = [view.values for view in search.trials.values() if view.id >= 40]
    near = [values for values in late if (values["x"] - 0.7) ** 2 + (values["y"] - 0.2) ** 2 < 0.08]  # type: ignore[operator]
    assert len(near) > 14  # a quarter of the square is that near: ten of forty, by chance
