"""Population based training: who goes on as whom, with which values, and the known bugs of others."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any, Literal

import pytest

from asynctune._machine.exploring import explored as explored_values
from asynctune.errors import ConfigurationError
from asynctune.objective import Objective
from asynctune.records import CONTINUE, PAUSE, Exploit, Report, State, TrialView, Value, Verdict
from asynctune.schedulers import PopulationBasedTraining
from asynctune.space import Boolean, Choice, Domain, Fixed, Float, Int, Normal, Space, When
from asynctune.testing import SchedulerRehearsal

SCORES = (0.0, 50.0, 100.0, 150.0, 200.0)


def pbt(**settings: Any) -> PopulationBasedTraining:
    return PopulationBasedTraining(**{"perturbation_interval": 10, "hyperparam_mutations": {"v": Float(0, 99)}, **settings})


def rehearse(direction: Literal["min", "max"] = "max", **settings: Any) -> SchedulerRehearsal:
    return SchedulerRehearsal(pbt(**settings), Objective("score", direction))


def five(direction: Literal["min", "max"] = "max", **settings: Any) -> tuple[SchedulerRehearsal, list[Verdict]]:
    """Five trials, whose scores at step 10 are 0, 50, 100, 150 and 200; with the verdicts on them."""
    rehearsal = rehearse(direction, **settings)
    for _ in SCORES:
        rehearsal.add({"v": 2.0})
    return rehearsal, [rehearsal.report(trial, 10, score) for trial, score in enumerate(SCORES)]


# ---------------------------------------------------------------------------------------------------- who goes on as whom


def test_a_trial_that_is_behind_goes_on_as_one_of_the_best() -> None:
    # Ray Tune's published case, with the same numbers: whoever is last clones trial 3 or 4.
    rehearsal, verdicts = five()
    assert verdicts == [CONTINUE] * 5  # each was ahead of all who had come
    assert rehearsal.report(0, 20, 0.0) in (Exploit(3), Exploit(4))
    assert rehearsal.report(2, 20, 200.0) == CONTINUE
    assert rehearsal.report(1, 20, 10.0) in (Exploit(2), Exploit(4))


def test_with_losses_less_is_better() -> None:
    _, verdicts = five("min")
    assert isinstance(verdicts[-1], Exploit)
    assert verdicts[-1].source in (0, 1)


@pytest.mark.parametrize(("trials", "size"), [(1, 0), (2, 1), (3, 1), (4, 1), (5, 2), (8, 2), (9, 3)])
def test_how_many_are_the_best(trials: int, size: int) -> None:
    # ceil(n / 4), where that leaves the best and the worst apart: published for Ray Tune.
    rehearsal = rehearse(synchronous=True, population=max(trials, 2))
    for _ in range(trials):
        rehearsal.add({"v": 2.0})
    for trial in range(trials):
        rehearsal.report(trial, 10, float(trial))
    if trials > 1:
        explored = [call.arguments[0].id for call in rehearsal.calls if call.hook == "explore"]
        sources = {call.arguments[1].id for call in rehearsal.calls if call.hook == "explore"}
        assert sorted(explored) == list(range(size))
        assert sources <= set(range(trials - size, trials))


def test_nobody_is_compared_before_the_interval_is_over() -> None:
    rehearsal = rehearse()
    for _ in range(2):
        rehearsal.add({"v": 2.0})
    assert [rehearsal.report(1, step, 9.0) for step in range(1, 11)] == [CONTINUE] * 10
    assert [rehearsal.report(0, step, 1.0) for step in range(1, 10)] == [CONTINUE] * 9
    assert rehearsal.report(0, 10, 1.0) == Exploit(1)


def test_nor_before_the_burn_in_period_is_over() -> None:
    # Ray Tune's published case: with burn_in_period=50, the trial keeps its value until then.
    rehearsal = rehearse(burn_in_period=50)
    for _ in range(2):
        rehearsal.add({"v": 2.0})
    for step in range(10, 50, 10):
        assert (rehearsal.report(1, step, 9.0), rehearsal.report(0, step, 1.0)) == (CONTINUE, CONTINUE)
    assert rehearsal.report(1, 50, 9.0) == CONTINUE
    assert rehearsal.report(0, 50, 1.0) == Exploit(1)


def test_of_several_that_are_better_another_is_chosen_where_values_are_others() -> None:
    chosen = set()
    for search in range(20):
        rehearsal = rehearse()
        for trial in range(5):
            rehearsal.add({"v": search + trial / 8})
        for trial, score in enumerate(SCORES):
            rehearsal.report(trial, 10, score)
        chosen.add(rehearsal.report(0, 20, 0.0))
    assert chosen == {Exploit(3), Exploit(4)}


def test_equal_trials_are_left_alone() -> None:
    rehearsal = rehearse()
    for _ in range(6):
        rehearsal.add({"v": 2.0})
    assert {rehearsal.report(trial, step, 1.0) for step in (10, 20) for trial in range(6)} == {CONTINUE}


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("direction", ["min", "max"])
def test_what_diverges_is_nobodys_source_and_goes_on_as_another(bad: float, direction: Literal["min", "max"]) -> None:
    rehearsal = rehearse(direction)
    for _ in range(6):
        rehearsal.add({"v": 2.0})
    assert [rehearsal.report(trial, 10, bad) for trial in range(5)] == [CONTINUE] * 5  # as there is nobody sound
    assert rehearsal.report(5, 10, 1.0) == CONTINUE
    assert [rehearsal.report(trial, 20, bad) for trial in range(5)] == [Exploit(5)] * 5


def test_an_ended_trial_is_nobodys_source() -> None:
    rehearsal, _ = five()
    rehearsal.complete(4)
    rehearsal.fail(3)
    assert rehearsal.report(0, 20, 0.0) == Exploit(2)


def test_a_report_without_the_objective_says_nothing() -> None:
    scheduler = pbt()
    scheduler.set_search(objective=Objective("score", "max"))
    view = TrialView(id=0, state=State.RUNNING, values={"v": 2.0}, step=10)
    assert scheduler.on_trial_result(view, Report(10, {"other": 1.0}, 0.0, 1)) is None


# ------------------------------------------------------------------------------------------------------------ synchronous


def test_all_are_compared_at_the_same_step() -> None:
    rehearsal, verdicts = five(synchronous=True, population=5)
    assert verdicts[:-1] == [PAUSE] * 4
    assert verdicts[-1] == CONTINUE  # the best keeps its slot
    told = [call.answer for call in rehearsal.calls if call.hook == "on_trial_result"][-1]
    assert set(told) == {0, 1}
    assert all(verdict in (Exploit(3), Exploit(4)) for verdict in told.values())
    assert sorted(_started(rehearsal)) == [0, 1, 2, 3]


def _started(rehearsal: SchedulerRehearsal) -> list[int]:
    rehearsal.growing = False
    started = []
    while isinstance(choice := rehearsal.choose(), int):
        rehearsal.start(choice)
        started.append(choice)
    return started


def test_who_comes_early_waits_for_the_rest() -> None:
    rehearsal = rehearse(synchronous=True, population=3)
    for _ in range(3):
        rehearsal.add({"v": 2.0})
    assert rehearsal.report(0, 12, 5.0) == PAUSE
    rehearsal.growing = False
    assert rehearsal.choose() == "WAIT"
    assert rehearsal.report(1, 11, 6.0) == PAUSE
    assert rehearsal.report(2, 9, 7.0) == CONTINUE  # not there yet
    assert rehearsal.report(2, 10, 7.0) == CONTINUE
    assert rehearsal.scheduler.settings()["synchronous"]
    # The next meeting is an interval later.
    assert sorted(_started(rehearsal)) == [0, 1]
    assert [rehearsal.report(trial, 19, 1.0) for trial in range(1, 3)] == [CONTINUE] * 2
    assert rehearsal.report(2, 20, 1.0) == PAUSE


@pytest.mark.parametrize("end", ["complete", "fail"])
def test_the_last_one_may_end_instead(end: str) -> None:
    # Elsewhere all others then wait for ever.
    rehearsal = rehearse(synchronous=True, population=3)
    for _ in range(3):
        rehearsal.add({"v": 2.0})
    assert [rehearsal.report(trial, 10, float(trial)) for trial in range(2)] == [PAUSE] * 2
    rehearsal.growing = False
    assert rehearsal.choose() == "WAIT"
    getattr(rehearsal, end)(2)
    assert sorted(_started(rehearsal)) == [0, 1]
    assert [call.arguments[0].id for call in rehearsal.calls if call.hook == "explore"] == [0]


def test_when_nobody_else_comes_they_meet_without() -> None:
    rehearsal = rehearse(synchronous=True, population=9)
    for _ in range(3):
        rehearsal.add({"v": 2.0})
    assert [rehearsal.report(trial, 10, float(trial)) for trial in range(3)] == [PAUSE] * 3
    assert rehearsal.choose() == "NEW"
    rehearsal.growing = False
    assert rehearsal.choose() == 2  # the best goes first,
    rehearsal.start(2)
    assert rehearsal.choose() == 1  # and whoever keeps its values;
    rehearsal.start(1)
    assert rehearsal.choose() == "WAIT"
    rehearsal.report(2, 11, 9.0)  # the other is told now as whom it goes on.
    assert [call.arguments[0].id for call in rehearsal.calls if call.hook == "explore"] == [0]
    assert rehearsal.choose() == 0
    # From now on, three are known to be all.
    rehearsal.start(0)
    assert [rehearsal.report(trial, 20, float(trial)) for trial in range(3)] == [PAUSE, PAUSE, CONTINUE]


# ----------------------------------------------------------------------------------------------------------- taking turns


def test_who_is_furthest_behind_goes_next() -> None:
    # Ray Tune's published case: of those set aside, the one that has trained least.
    rehearsal = rehearse(population=4)
    for _ in range(4):
        rehearsal.add({"v": 2.0})
    assert [rehearsal.report(trial, step, 1.0) for trial, step in ((0, 40), (1, 20), (2, 30))] == [PAUSE] * 3
    rehearsal.growing = False
    assert rehearsal.choose() == 1
    assert rehearsal.choose() == 1  # it may be asked again
    assert _started(rehearsal) == [1, 2, 0]


def test_nobody_is_set_aside_for_one_that_runs() -> None:
    # What was to go on as a trial without a checkpoint was skipped: it runs, and waits for no slot.
    scheduler = pbt(population=2)
    scheduler.set_search(objective=Objective("score", "max"))

    def reported(trial: int, step: int, score: float) -> Any:
        view = TrialView(id=trial, state=State.RUNNING, values={"v": 2.0}, step=step)
        told: Any = scheduler.on_trial_result(view, Report(step, {"score": score}, 0.0, 1))
        return told and told[trial]

    assert [reported(trial, 1, 1.0) for trial in range(2)] == [None, None]
    assert reported(0, 10, 9.0) is None
    assert reported(1, 10, 1.0) == Exploit(0)
    assert reported(0, 20, 9.0) is None
    # Once it is set aside, it is somebody to make room for.
    assert reported(1, 20, 1.0) == Exploit(0)
    scheduler.on_trial_pause(TrialView(id=1, state=State.PENDING, values={"v": 2.0}, step=20), "scheduler")
    assert reported(0, 30, 9.0) == PAUSE


def test_new_trials_come_before_until_the_population_is_complete() -> None:
    rehearsal = rehearse(population=3)
    rehearsal.add({"v": 2.0})
    assert rehearsal.report(0, 10, 1.0) == PAUSE
    assert rehearsal.choose() == "NEW"
    rehearsal.add({"v": 2.0})
    assert rehearsal.choose() == "NEW"
    rehearsal.add({"v": 2.0})
    assert rehearsal.choose() == 0


def test_a_population_that_fits_into_its_slots_is_never_set_aside() -> None:
    rehearsal = rehearse(population=3)
    for _ in range(3):
        rehearsal.add({"v": 2.0})
        rehearsal.report(len(rehearsal.trials) - 1, 1, 1.0)
    assert [rehearsal.report(trial, 10, 1.0) for trial in range(3)] == [CONTINUE] * 3


# --------------------------------------------------------------------------------------------------------------- exploring


def explored(old: Value, what: Any, count: int = 200, **settings: Any) -> set[Any]:
    """All that becomes of a value."""
    scheduler = pbt(hyperparam_mutations={"v": what}, **settings)
    view = TrialView(id=0, state=State.RUNNING, values={"v": old, "other": 5})
    found = [scheduler.explore(view, view, seed) for seed in range(count)]
    assert all(set(each) == {"v"} for each in found)
    return {each["v"] for each in found}


@pytest.mark.parametrize(
    ("old", "what", "found"),
    [
        (2.0, Float(0, 99), {2.0 * 0.8, 2.0 * 1.2}),
        (10, Int(0, 99), {8, 12}),
        (3, [3, 4, 8, 10], {3, 4}),
        (4, [3, 4, 8, 10], {3, 8}),
        (10, [3, 4, 8, 10], {8, 10}),
        (100, (10, 1000), {80, 120}),
        (0.5, (0.1, 1.0), {0.4, 0.6}),
        (True, Boolean(), {True, False}),
        ("b", Choice(["a", "b", "c"]), {"a", "c"}),
        ("a", Fixed("a"), {"a"}),
        (1, Int(0, 99), {0, 2}),  # elsewhere 1 stays 1 for ever
        (0.09, Float(0.01, 0.1), {0.1, 0.09 * 0.8}),  # elsewhere it drifts out of its range
        (0.01, Float(0.01, 0.1), {0.01, 0.012}),
        (98, Int(0, 99), {78, 99}),
        (64, Int(16, 256, step=2, sampling="log"), {32, 128}),
        (0.6, Float(0, 1, step=0.2), {0.4, 0.8}),
        (30, Int(0, 90, step=30), {0, 60}),
        (20, Int(10, 1000, sampling="log", quantum=10), {10, 30}),
        (0.002, Float(0.001, 1.0, sampling="log", quantum=0.001), {0.001, 0.003}),
        (5.0, Normal(0, 1), {4.0, 6.0}),
        (-0.5, Normal(0, 1, step=0.5), {-1.0, 0.0}),
        (1e308, Normal(0, 1), {1e308 * 0.8, 1e308 * 1.2}),
        (2**62, Int(0, 2**63 - 1), {3689348814741910528, int(2**62 * 1.2)}),
    ],
)
def test_what_becomes_of_a_value(old: Value, what: Any, found: set[Any]) -> None:
    assert explored(old, what, resample_probability=0) == found


@pytest.mark.parametrize(
    ("old", "what"),
    [
        (2.0, Float(1, 3)),
        (7, Int(5, 9)),
        ("a", Choice(["a", "b", "c"])),
        (1e-3, Float(1e-4, 1e-1, sampling="log")),
        (1, [1, 2]),
    ],
)
def test_drawn_anew_it_may_be_anything_of_its_domain(old: Value, what: Any) -> None:
    found = explored(old, what, resample_probability=1)
    domain: Domain = Choice(what) if isinstance(what, list) else what
    assert all(domain.contains(value) for value in found)
    assert len(found) > 150 if domain.size is None else found == set(domain.values)


def test_each_way_is_as_probable_as_it_is_said() -> None:
    scheduler = pbt(hyperparam_mutations={"v": Float(0, 99)})
    view = TrialView(id=0, state=State.RUNNING, values={"v": 2.0})
    found = Counter(scheduler.explore(view, view, seed)["v"] for seed in range(4000))
    drawn = sum(count for value, count in found.items() if value not in (1.6, 2.4))
    assert drawn == pytest.approx(1000, abs=150)
    assert found[1.6] == pytest.approx(1500, abs=150)


def test_it_is_a_function_of_its_arguments() -> None:
    scheduler, view = pbt(), TrialView(id=0, state=State.RUNNING, values={"v": 2.0})
    assert scheduler.explore(view, view, 7) == pbt().explore(view, view, 7)


def test_out_of_its_range_never_however_often() -> None:
    scheduler, value = (
        pbt(hyperparam_mutations={"v": Float(0.01, 0.1)}, resample_probability=0, perturbation_factors=[1.2]),
        0.05,
    )
    for seed in range(100):
        view = TrialView(id=0, state=State.RUNNING, values={"v": value})
        value = scheduler.explore(view, view, seed)["v"]
        assert 0.01 <= value <= 0.1


def test_domains_may_come_from_the_space_and_never_leave_it() -> None:
    space = Space({"lr": Float(0.1, 1.0), "units": Int(1, 9), "kind": Choice(["a", "b"]), "way": Choice([1, 2])})
    view = TrialView(id=0, state=State.RUNNING, values={"lr": 0.9, "units": 3, "kind": "a", "way": 2})
    whole, named = pbt(hyperparam_mutations=None), pbt(hyperparam_mutations=["lr"])
    wider = pbt(hyperparam_mutations={"lr": Float(0.0, 9.0), "kind": ["x", "a"], "units": None}, perturbation_factors=[3.0])
    for scheduler in (whole, named, wider):
        scheduler.set_space(space)
    assert set(whole.explore(view, view, 0)) == set(space)
    assert set(named.explore(view, view, 0)) == {"lr"}
    for seed in range(100):
        for scheduler in (whole, named, wider):
            assert space.validate({**view.values, **scheduler.explore(view, view, seed)})


CONDITIONAL = Space(
    {
        "kind": Choice(["a", "b"]),
        "layers": When("kind", "a", Int(1, 3)) | When("kind", "b", Int(3, 6)),
        "units": When("layers", [1, 2], Int(1, 9)) | When("layers", [3, 4, 5], Int(100, 900)),
        "rate": When("units", [1, 2, 3, 4], Float(0, 1)),
        "only": When("kind", "b", Float(5, 6)),
    }
)


@pytest.mark.parametrize("resample_probability", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("mutations", [None, ["kind", "units"], ["layers", "rate"], {"kind": None, "units": Int(1, 999)}])
def test_where_what_it_depends_on_is_changed_too_it_is_as_in_the_source_or_drawn(
    mutations: Any, resample_probability: float
) -> None:
    scheduler = pbt(hyperparam_mutations=mutations, resample_probability=resample_probability)
    scheduler.set_space(CONDITIONAL)
    drawn = 0
    for seed in range(300):
        values = CONDITIONAL.sample(seed)
        view = TrialView(id=0, state=State.RUNNING, values=values)
        said = scheduler.explore(view, view, seed)
        found = explored_values(CONDITIONAL, said, values, seed)
        assert CONDITIONAL.validate(found) == found
        if found.get("units") != said.get("units") and "units" in found:
            # Nothing that could be kept is drawn.
            domain = CONDITIONAL.domain("units", found)
            assert domain is not None
            drawn += found["units"] != values.get("units")
            assert not domain.contains(values.get("units")) or found["units"] == values["units"]
    assert drawn > 0


def test_nested_parameters_have_flat_names() -> None:
    nested = pbt(hyperparam_mutations={"net": {"units": Int(1, 9), "deep": {"rate": (0.1, 1.0)}}})
    view = TrialView(id=0, state=State.RUNNING, values={"net/units": 3, "net/deep/rate": 0.5})
    assert set(nested.explore(view, view, 0)) == {"net/units", "net/deep/rate"}


def test_a_parameter_that_is_not_there_is_not_changed() -> None:
    view = TrialView(id=0, state=State.RUNNING, values={"w": 3})
    assert pbt().explore(view, view, 0) == {}


# ------------------------------------------------------------------------------------------------------------ what it says


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"quantile_fraction": 0.6}, r"quantile_fraction=0\.6\) is more than 0\.5: the worst would be among the best"),
        ({"quantile_fraction": 0}, r"quantile_fraction=\.\.\.\) takes a number above 0, not 0"),
        ({"perturbation_interval": 0}, r"perturbation_interval=.* of at least 1, not 0"),
        ({"perturbation_interval": 1.5}, r"perturbation_interval=.* an integer .* not 1\.5"),
        ({"burn_in_period": -1}, r"burn_in_period=.* not -1"),
        ({"resample_probability": 1.5}, r"resample_probability=.* at most 1, not 1\.5"),
        ({"perturbation_factors": []}, r"perturbation_factors=.* numbers above 0.* not \(\)"),
        ({"perturbation_factors": (1.2, 0)}, r"perturbation_factors=.* numbers above 0"),
        ({"population": 1}, r"population=.* of at least 2 or None, not 1"),
        ({"synchronous": 1}, r"synchronous=.* True or False"),
        ({"hyperparam_mutations": {}}, r"hyperparam_mutations=.* names nothing to change"),
        ({"hyperparam_mutations": []}, r"hyperparam_mutations=.* names nothing to change"),
        ({"hyperparam_mutations": "lr"}, r"hyperparam_mutations=.* takes a list of names, or a dict .* not 'lr'"),
        ({"hyperparam_mutations": {"lr": lambda: 1}}, r"'lr' takes a domain, a list of values, a range"),
        ({"hyperparam_mutations": {"lr": (2, 1)}}, r"'lr': Int\(max_value="),
        ({"hyperparam_mutations": {3: [1]}}, r"takes names as keys, not 3"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        pbt(**settings)


def test_a_parameter_that_is_not_declared_is_refused() -> None:
    scheduler = pbt()
    scheduler.set_space(Space())  # it may be named by the trials
    with pytest.raises(ConfigurationError, match=r"names 'v', which is not in the space; in it are 'lr'"):
        scheduler.set_space(Space({"lr": Float(0, 1)}))


def test_the_plan() -> None:
    assert pbt().plan() == (
        "PopulationBasedTraining (asynchronous): every 10 steps, trials among the worst 25% go on as one of the best 25%. "
        "Changed is v"
    )
    whole = pbt(hyperparam_mutations=None, synchronous=True, population=8, burn_in_period=20, perturbation_interval=1)
    assert whole.plan() == (
        "PopulationBasedTraining (synchronous) of 8 trials: every 1 step, from step 20 on, trials among the worst 25% go on as "
        "one of the best 25%. Changed is everything in the space"
    )
    assert pbt().settings() == {
        "perturbation_interval": 10,
        "hyperparam_mutations": {"v": "Float(0.0 to 99.0)"},
        "burn_in_period": 0,
        "quantile_fraction": 0.25,
        "resample_probability": 0.25,
        "perturbation_factors": [0.8, 1.2],
        "synchronous": False,
        "population": None,
    }
