"""PB2: what it learns, and where its model leads."""

from __future__ import annotations

import math
from typing import Any

import pytest

from asynctune._machine.exploring import explored
from asynctune.errors import ConfigurationError
from asynctune.objective import Objective
from asynctune.records import CheckpointKey, Exploit, Origin, Report, State, TrialView
from asynctune.schedulers import PB2
from asynctune.schedulers._time_varying import best, model_of
from asynctune.space import Choice, Float, Int, Space, When
from asynctune.testing import SchedulerRehearsal

SPACE = Space({"a": Float(0, 1), "b": Float(1e-4, 1, sampling="log"), "kind": Choice(["x", "y"])})


def pb2(**settings: Any) -> PB2:
    return PB2(**{"perturbation_interval": 1, "hyperparam_mutations": {"a": Float(0, 1)}, **settings})


def taught(peak: float = 0.7, trials: int = 8, steps: int = 6, **settings: Any) -> SchedulerRehearsal:
    """Trials that never exploit (all are equally good), whose steps bring more the closer `a` is to `peak`."""
    scheduler = pb2(quantile_fraction=1e-9, **settings)
    rehearsal = SchedulerRehearsal(scheduler, Objective("score", "max"))
    for trial in range(trials):
        rehearsal.add({"a": trial / (trials - 1), "b": 0.01, "kind": "x"})
    scores = dict.fromkeys(range(trials), 0.0)
    for step in range(1, steps + 1):
        for trial in range(trials):
            scores[trial] += 1 - abs(rehearsal.trials[trial].values["a"] - peak)  # type: ignore[operator]
            rehearsal.report(trial, step, scores[trial])
    return rehearsal


def asked(rehearsal: SchedulerRehearsal, trial: int, source: int, seed: int = 0) -> Any:
    """What the scheduler has a trial do that it has just told to go on as another."""
    return rehearsal.scheduler.explore(rehearsal.trials[trial], rehearsal.trials[source], seed)["a"]


def test_it_goes_where_most_was_gained() -> None:
    assert asked(taught(0.7), 0, 5) == pytest.approx(0.7, abs=0.25)


@pytest.mark.parametrize("peak", [0.2, 0.5, 0.8])
def test_the_model_finds_the_peak_and_stays_in_range(peak: float) -> None:
    places = [(k / 9, step) for step in range(1, 5) for k in range(10)]
    points, times = [[x, 0.5] for x, _ in places], [float(step) for _, step in places]
    model = model_of(points, times, [-abs(x - peak) for x, _ in places])
    alone = best(model, [0.5], 4.0, pending=[], width=1, luck=1)
    assert alone == [pytest.approx(peak, abs=0.15)]
    assert all(0 <= each <= 1 for each in best(model, [0.5], 9.0, pending=[alone] * 3, width=1, luck=1))


def test_those_who_go_at_the_same_moment_do_not_all_try_the_same() -> None:
    rehearsal = taught(0.5, trials=3, steps=2)  # of which little is known
    found = [asked(rehearsal, trial, 1) for trial in (0, 2)]
    assert abs(found[0] - found[1]) > 0.05


def test_what_was_chosen_for_one_counts_until_the_next_thing_happens() -> None:
    rehearsal, other = (taught(0.5, trials=3, steps=2) for _ in range(2))
    asked(rehearsal, 0, 1)
    for each in (rehearsal, other):  # the second is opened again: nobody has asked it
        each.report(1, 3, 9.0)
    assert asked(rehearsal, 2, 1) == asked(other, 2, 1)


def test_it_is_a_function_of_what_was_seen_and_of_its_arguments() -> None:
    one, other = (asked(taught(), 0, 5, seed=3) for _ in range(2))
    assert one == other


def test_until_something_is_known_numbers_are_multiplied() -> None:
    scheduler = pb2()
    scheduler.set_search(objective=Objective("score", "max"))
    view = TrialView(id=0, state=State.RUNNING, values={"a": 0.5, "kind": "x"})
    assert {scheduler.explore(view, view, seed)["a"] for seed in range(20)} == {0.4, 0.6}


def test_only_numbers_are_changed_and_they_keep_to_the_space() -> None:
    rehearsal = taught(hyperparam_mutations=None)
    rehearsal.scheduler.set_space(SPACE)
    for seed in range(5):
        found = rehearsal.scheduler.explore(rehearsal.trials[0], rehearsal.trials[5], seed)
        assert set(found) == {"a", "b"}
        SPACE.validate({"kind": "x", **found})


@pytest.mark.parametrize("steps", [1, 4])
def test_where_what_it_depends_on_is_changed_too_it_is_as_in_the_source_or_drawn(steps: int) -> None:
    cases = When("a", [1, 2, 3], Int(1, 9)) | When("a", [4, 5, 6], Int(100, 900))
    space = Space({"a": Int(1, 6), "b": cases, "c": When("b", [1, 2, 3], Float(0, 1))})
    scheduler = pb2(hyperparam_mutations=None)
    rehearsal = SchedulerRehearsal(scheduler, Objective("score", "max"))
    scheduler.set_space(space)
    for trial in range(6):
        rehearsal.add(space.sample(trial))
    for step in range(1, steps + 1):
        for trial in range(6):
            rehearsal.report(trial, rehearsal.trials[trial].step + 1, 1.0 * step)
    for seed in range(10):
        for source in range(6):
            values = space.sample(seed * 6 + source)
            view = TrialView(id=source, state=State.RUNNING, values=values)
            found = explored(space, scheduler.explore(rehearsal.trials[0], view, seed), values, seed)
            assert space.validate(found) == found


def test_an_integer_stays_one() -> None:
    scheduler = pb2(hyperparam_mutations={"a": (1, 9)})
    view = TrialView(id=0, state=State.RUNNING, values={"a": 4})
    assert {type(scheduler.explore(view, view, seed)["a"]) for seed in range(10)} == {int}


def report(scheduler: PB2, trial: int, step: int, score: float, *origins: Origin) -> Any:
    view = TrialView(id=trial, state=State.RUNNING, values={"a": 0.1 * trial}, step=step, lineage=origins)
    told: Any = scheduler.on_trial_result(view, Report(step, {"score": score}, 0.0, 1))
    return told and told[trial]


def test_what_it_learns_is_the_gain_of_each_interval() -> None:
    scheduler = pb2(perturbation_interval=5)
    scheduler.set_search(objective=Objective("score", "max"))
    learnt: Any = scheduler
    for step, score in ((5, 1.0), (10, 3.0), (15, math.nan), (20, 4.0), (25, 4.5)):
        report(scheduler, 1, step, score)
    assert [(gain.step, gain.before, gain.gain) for gain in learnt._gains] == [
        (10, -1.0, pytest.approx(0.4)),
        (25, -4.0, pytest.approx(0.1)),
    ]


def test_who_goes_on_as_another_is_measured_from_there() -> None:
    scheduler = pb2(perturbation_interval=5)
    scheduler.set_search(objective=Objective("score", "max"))
    learnt: Any = scheduler
    report(scheduler, 1, 5, 10.0)
    assert report(scheduler, 2, 5, 1.0) == Exploit(1)
    report(scheduler, 2, 9, 12.0, Origin(1, CheckpointKey(1, 4, 1), {"a": 0.3}, 2))  # 5 steps after step 4
    assert [(gain.step, gain.before, gain.gain) for gain in learnt._gains] == [(9, -10.0, pytest.approx(0.4))]
    # Where it was not done after all, from where it was itself.
    report(scheduler, 3, 5, 1.0)
    assert report(scheduler, 3, 10, 2.0) in (Exploit(1), Exploit(2))
    report(scheduler, 3, 15, 2.5)
    assert (learnt._gains[-1].before, learnt._gains[-1].gain) == (-2.0, pytest.approx(0.1))


@pytest.mark.parametrize(
    ("mutations", "said"),
    [
        ({"a": ["x", "y"]}, r"'a' takes Int, Float, Normal or a range, for its model is of numbers, not Choice"),
        ({}, "names nothing"),
    ],
)
def test_what_is_no_number_is_refused(mutations: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        pb2(hyperparam_mutations=mutations)


def test_the_plan() -> None:
    assert pb2(hyperparam_mutations={"a": None, "n": Int(1, 2)}).plan() == (
        "PB2 (asynchronous): every 1 step, trials among the worst 25% go on as one of the best 25%. Changed is a, n"
    )
    assert pb2().settings()["hyperparam_mutations"] == {"a": "Float(0.0 to 1.0)"}
