"""Ray Tune's scheduler bugs, each of which was seen in its release 2.60 or is an issue of its tracker, as tests that pass here.

They are numbered, so that they can be counted; those of population-based training are with its own tests. Ray's words are in
brackets: its issues by number.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import pytest

from asynctune._machine.stimuli import StopTrialAsked
from asynctune.events import Started, Stopped
from asynctune.failure import Failure, FailureKind
from asynctune.messages import RunTrial
from asynctune.objective import Objective
from asynctune.oracles import RandomSearch
from asynctune.policies import FailurePolicy
from asynctune.records import CONTINUE, PAUSE, Report, State, Stop, TrialView
from asynctune.schedulers import (
    ASHA,
    BOHB,
    FIFO,
    HyperBand,
    MedianStopping,
    Patience,
    Percentile,
    Scheduler,
    Threshold,
)
from asynctune.space import Float, HyperParameters
from asynctune.testing import Behaviour, SchedulerRehearsal, SimulatedSearch

MAKES: Mapping[str, Callable[[], Scheduler]] = {
    "FIFO": FIFO,
    "ASHA": lambda: ASHA(max_steps=9),
    "ASHA promoting": lambda: ASHA(max_steps=9, form="promotion"),
    "HyperBand": lambda: HyperBand(max_steps=9),
    "BOHB": lambda: BOHB(max_steps=9),
    "MedianStopping": lambda: MedianStopping(min_samples=1),
    "MedianStopping softly": lambda: MedianStopping(min_samples=1, hard_stop=False),
    "Percentile": lambda: Percentile(percentile=50, startup_trials=1),
    "Patience": lambda: Patience(patience=1),
    "Threshold": lambda: Threshold(lower=-1e6, upper=1e6),
}
EACH = pytest.mark.parametrize("name", MAKES)


def rehearse(scheduler: Scheduler, direction: Any = "max") -> SchedulerRehearsal:
    return SchedulerRehearsal(scheduler, Objective("score", direction))


def simulated(scheduler: Scheduler, **changes: Any) -> SimulatedSearch:
    given: dict[str, Any] = {
        "script": script,
        "oracle": RandomSearch(),
        "scheduler": scheduler,
        "space": {"x": Float(0, 1)},
        "workers": 3,
        "max_trials": 12,
        "failure": FailurePolicy(max_consecutive_failed_trials=None),
    }
    return SimulatedSearch(**{**given, **changes})


def script(order: RunTrial, hp: HyperParameters) -> Behaviour:
    level = hp.Float("x", 0, 1)
    return Behaviour(reports=[(1.0 + level, {"loss": level + 1 / step}) for step in range(order.step + 1, 13)])


# ---------------------------------------------------------------------------------------------------------------- ASHA


@pytest.mark.parametrize("form", ["stopping", "promotion"])
def test_01_a_trial_that_skips_rungs_is_not_judged_at_lower_ones_later(form: Any) -> None:
    """[It falls through to a rung where it is not recorded, and is compared and recorded there with its later score.]"""
    scheduler = ASHA(max_steps=9, form=form, stop_last=False)
    rehearsal = rehearse(scheduler)
    for value in (5.0, 6.0, 7.0):
        rehearsal.report(rehearsal.add(), 1, value)
    jumper = rehearsal.add()
    rehearsal.report(jumper, 4, 5.0)
    there = [[len(each) for each in scheduler._cutoffs[0]], [len(each) for each in scheduler._rankings[0]]]
    if rehearsal.trials[jumper].state is State.PENDING:
        rehearsal.start(jumper)
    assert rehearsal.report(jumper, 5, -100.0) == CONTINUE
    assert [[len(each) for each in scheduler._cutoffs[0]], [len(each) for each in scheduler._rankings[0]]] == there


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["ASHA", "ASHA promoting", "HyperBand", "BOHB"])
@pytest.mark.parametrize("others", [0, 12])
def test_02_nan_passes_no_rung(name: str, value: float, others: int) -> None:
    """[NaN is not less than the cutoff, and so it passes.]"""
    rehearsal = rehearse(MAKES[name](), "min")
    for _ in range(others):
        trial = rehearsal.add()
        if rehearsal.trials[trial].state is State.RUNNING:
            rehearsal.report(trial, 1, 1.0)
    diverged = rehearsal.add()
    for step in range(1, 10):
        if rehearsal.trials[diverged].state is State.RUNNING:
            rehearsal.report(diverged, step, value)
    assert rehearsal.trials[diverged].state is State.COMPLETED
    assert rehearsal.trials[diverged].step <= 3


@EACH
def test_03_a_report_without_the_objective_is_no_error(name: str) -> None:
    """[A metric that is None is a TypeError in ASHA; a missing time attribute a KeyError in HyperBand.]"""
    scheduler = MAKES[name]()
    scheduler.set_search(objective=Objective("score", "min"))
    view = TrialView(id=0, state=State.RUNNING, values={})
    scheduler.on_trial_add(view)
    assert scheduler.on_trial_result(view, Report(1, {"other": 1.0}, 0.0, 1)) is None


def test_04_a_trial_stays_in_its_bracket_whatever_becomes_of_it() -> None:
    """[The bracket is drawn anew, from the global generator, when a trial that failed is added again.]"""
    one, other = ASHA(max_steps=81, brackets=4), ASHA(max_steps=81, brackets=4)
    assert [one.bracket(trial) for trial in range(200)] == [other.bracket(trial) for trial in range(200)]
    rehearsal = rehearse(one)
    trial = rehearsal.add()
    before = one.bracket(trial)
    rehearsal.fail(trial)
    assert one.bracket(trial) == before


@pytest.mark.parametrize(("most", "factor"), [(1000, 10), (243, 3), (125, 5), (10**15, 10), (3**20, 3)])
def test_05_no_rung_is_lost_to_the_rounding_of_a_logarithm(most: int, factor: int) -> None:
    """[log(1000) / log(10) is 2.9999…: the rungs end at 100.]"""
    rungs = ASHA(max_steps=most, factor=factor, stop_last=False).rungs
    assert rungs[-1] == most
    assert all(after == factor * before for before, after in pairwise(rungs))
    assert HyperBand(max_steps=most, factor=factor).shapes[0].steps == rungs


def test_06_there_is_promotion_by_its_name() -> None:
    """[What is called ASHA stops trials, and promotes none: #4401, #32634, #44256.]"""
    rehearsal = rehearse(ASHA(max_steps=9, form="promotion"))
    verdicts = [rehearsal.report(rehearsal.add(), 1, value) for value in (3.0, 2.0, 1.0)]
    assert verdicts == [PAUSE] * 3  # also the first to arrive
    assert rehearsal.choose() == 0


@EACH
def test_07_a_scheduler_stands_where_it_stood_when_a_search_is_resumed(name: str) -> None:
    """[Its state is never saved: rungs, brackets and medians are lost. #30838, #15177, #39900.]"""
    whole = simulated(MAKES[name]()).run()
    for cut in (len(whole.records) // 3, 2 * len(whole.records) // 3):
        killed = simulated(MAKES[name]()).run(until=cut)
        again = simulated(MAKES[name](), records=killed.records).run()
        assert again.divergences == []
        assert all(view.state.ended for view in again.trials.values())


# ----------------------------------------------------------------------------------------------------------- HyperBand


@pytest.mark.parametrize("end", ["fail", "complete"])
@pytest.mark.parametrize("rung", [1, 3])
def test_08_when_the_last_that_runs_is_gone_the_others_go_on(end: str, rung: int) -> None:
    """[`is_being_processed` is never reset: after the first halving all that wait are PAUSED for ever. #6780, #14500, #9245,
    #7011.]"""
    rehearsal = rehearse(HyperBand(max_steps=9))
    trials = [rehearsal.add() for _ in range(9)]
    for trial in trials if rung == 3 else trials[:-1]:
        rehearsal.report(trial, 1, float(trial))
    if rung == 3:
        while isinstance(choice := rehearsal.choose(), int):
            rehearsal.start(choice)
        for trial in (8, 7):
            rehearsal.report(trial, 3, float(trial))
    getattr(rehearsal, end)(6 if rung == 3 else 8)
    rehearsal.growing, rehearsal.exhausted = False, True
    assert rehearsal.choose() == (8 if rung == 3 else 7)


def test_09_a_bracket_that_is_not_full_is_culled_by_what_it_has() -> None:
    """[It is culled by the nominal number, and so hardly or not at all.]"""
    rehearsal = rehearse(HyperBand(max_steps=9))
    for trial in [rehearsal.add() for _ in range(6)]:
        rehearsal.report(trial, 1, float(trial))
    rehearsal.growing, rehearsal.exhausted = False, True
    went = []
    while isinstance(choice := rehearsal.choose(), int):
        rehearsal.start(choice)
        went.append(choice)
    assert went == [5, 4]


def test_10_nobody_joins_a_bracket_that_was_halved() -> None:
    """[A bracket counts as filled by those that live: after the halving new trials join at a later rung.]"""
    scheduler = HyperBand(max_steps=9)
    rehearsal = rehearse(scheduler)
    for trial in [rehearsal.add() for _ in range(9)]:
        rehearsal.report(trial, 1, float(trial))
    late = rehearsal.add()
    assert scheduler._places[late] == 1
    assert {scheduler._places[trial] for trial in (8, 7, 6)} == {0}


@pytest.mark.parametrize(("most", "factor"), [(20, 3), (80, 3), (999, 10), (7, 4)])
def test_11_no_bracket_begins_at_step_0(most: int, factor: int) -> None:
    """[A logarithm is rounded up: one bracket begins at step int(20 / 27) = 0, and is None.]"""
    assert all(shape.steps[0] >= 1 and shape.sizes[0] >= 1 for shape in HyperBand(max_steps=most, factor=factor).shapes)


@pytest.mark.parametrize("name", ["HyperBand", "BOHB", "ASHA promoting", "MedianStopping softly"])
def test_12_to_choose_changes_nothing(name: str) -> None:
    """[BOHB's scheduler processes brackets, and stops trials, when it is asked what runs.]"""
    rehearsal = rehearse(MAKES[name]())
    for trial in [rehearsal.add() for _ in range(9)]:
        rehearsal.report(trial, 1, -float(trial))
    rehearsal.growing, rehearsal.exhausted = False, True
    twin = copy.deepcopy(rehearsal.scheduler)
    assert len({rehearsal.choose() for _ in range(5)}) == 1
    assert repr(vars(twin)) == repr(vars(rehearsal.scheduler)) or name == "MedianStopping softly"
    assert twin.choose_trial_to_run(rehearsal.search()) == rehearsal.choose()


@EACH
def test_13_nobody_is_paused_for_ever(name: str) -> None:
    """[Trials stay PAUSED: #6780, #14500, #9245, #7011.] Every second launch fails, is retried, and fails again."""

    def fails(order: RunTrial, hp: HyperParameters) -> Behaviour:
        good = script(order, hp)
        bad = Failure(kind=FailureKind.RAISED, message="no") if order.trial % 2 else None
        return Behaviour(reports=good.reports[: 2 + order.trial % 4] if bad else good.reports, ending=bad)

    policy = FailurePolicy(max_retries_per_trial=1, max_consecutive_failed_trials=None)
    search = simulated(MAKES[name](), script=fails, failure=policy).run()
    assert all(view.state.ended for view in search.trials.values())


# ---------------------------------------------------------------------------------------------------------- the median


def test_14_the_last_result_counts_once() -> None:
    """[The end of a trial adds its last result again: a mean of 2.25 where it is 2.0.]"""
    scheduler = MedianStopping(min_samples=1)
    rehearsal = rehearse(scheduler)
    trial = rehearsal.add()
    for step, value in ((1, 1.0), (2, 2.0), (3, 3.0)):
        rehearsal.report(trial, step, value)
    rehearsal.complete(trial)
    assert scheduler._columns[3].value == -2.0
    assert rehearsal.report(rehearsal.add(), 3, 2.1) == CONTINUE
    assert isinstance(rehearsal.report(rehearsal.add(), 3, 1.9), Stop)


@EACH
def test_15_the_last_words_of_a_trial_that_was_stopped_are_no_error(name: str) -> None:
    """[A trial that was stopped and reports again is an AssertionError.] Here they are fenced off."""
    commands = [(2.5 + trial, lambda now, trial=trial: StopTrialAsked(at=now, trial=trial, reason="no")) for trial in range(6)]
    search = simulated(MAKES[name](), commands=commands, leave_takes=3.0).run()
    stopped = [view for view in search.trials.values() if view.stop_reason == "no"]
    assert all(view.state.ended for view in search.trials.values())
    assert stopped or search.end is not None


@pytest.mark.parametrize("name", [name for name in MAKES if name != "FIFO"])
def test_16_what_a_scheduler_keeps_of_a_trial_ends_with_it(name: str) -> None:
    """[Entries of trials that failed leak; every result of every trial is kept.] What stays is what others are measured by."""
    scheduler = MAKES[name]()
    rehearsal = rehearse(scheduler)
    for _ in range(50):
        trial = rehearsal.add()
        rehearsal.report(trial, 1, math.nan)
        if not rehearsal.trials[trial].state.ended:
            rehearsal.fail(trial)
    kept = {key: value for key, value in vars(scheduler).items() if isinstance(value, dict | set) and key != "_curves"}
    assert {key: len(value) for key, value in kept.items() if len(value) > 2} == {}


# ------------------------------------------------------------------------------------------------------------ all of them


@EACH
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_17_what_is_not_finite_ends_no_search(name: str, value: float) -> None:
    """[MetricNanInf.]"""

    def diverges(order: RunTrial, hp: HyperParameters) -> Behaviour:
        level = hp.Float("x", 0, 1)
        metrics = [{"loss": value if level > 0.4 and step > 1 else level} for step in range(order.step + 1, 13)]
        return Behaviour(reports=[(1.0, each) for each in metrics])

    policy = FailurePolicy(max_consecutive_failed_trials=None, non_finite="worst")
    search = simulated(MAKES[name](), script=diverges, failure=policy).run()
    assert all(view.state is State.COMPLETED for view in search.trials.values())
    assert search.end is not None
    assert search.end.error is None


@EACH
def test_18_a_retry_is_the_same_trial(name: str) -> None:
    """[A trial that failed is added to the scheduler again, and judged again at steps where it was judged.]"""

    class Watched(Scheduler):
        def __init__(self) -> None:
            self.added: list[int] = []
            self.steps: list[tuple[int, int]] = []

        def on_trial_add(self, trial: TrialView) -> None:
            self.added.append(trial.id)

        def on_trial_result(self, trial: TrialView, report: Report) -> None:
            self.steps.append((trial.id, report.step))

    def fails_once(order: RunTrial, hp: HyperParameters) -> Behaviour:
        good, first = script(order, hp), order.attempt == 1
        ending = Failure(kind=FailureKind.RAISED, message="no") if first else None
        return Behaviour(reports=good.reports[:4] if first else good.reports, ending=ending)

    retrying = FailurePolicy(max_retries_per_trial=1, max_consecutive_failed_trials=None, retry_from="start")
    watched = Watched()
    simulated(watched, script=fails_once, failure=retrying).run()
    assert sorted(watched.added) == list(range(12))
    assert len(set(watched.steps)) == len(watched.steps) == 12 * 12
    ended = simulated(MAKES[name](), script=fails_once, failure=retrying).run()
    assert all(view.state.ended for view in ended.trials.values())


@EACH
def test_19_an_argument_that_there_is_not_is_an_error(name: str) -> None:
    """[`create_scheduler` drops what it does not know.]"""
    kind: Any = type(MAKES[name]())
    with pytest.raises(TypeError):
        kind(max_t=9)


@pytest.mark.parametrize("name", ["HyperBand", "ASHA promoting"])
def test_20_those_who_are_out_are_told_why(name: str) -> None:
    """[Trials that were not promoted are TERMINATED as if they had finished, or PAUSED in the table.]"""
    search = simulated(MAKES[name](), max_trials=11).run()
    reasons = {view.stop_reason for view in search.trials.values()}
    assert None not in reasons
    stopped = [event for record in search.records for event in record.happened if isinstance(event, Stopped)]
    assert len(stopped) == 11


def test_21_a_trial_that_was_set_aside_loses_no_step() -> None:
    """[A paused trial without a checkpoint begins anew, and so each rung costs all the steps before it.]"""
    search = simulated(HyperBand(max_steps=9), max_trials=17, workers=2).run()
    launches = [event for record in search.records for event in record.happened if isinstance(event, Started)]
    assert sum(not event.parked for event in launches) == 17  # one each: whoever was set aside went on where it stood
    assert sum(view.step for view in search.trials.values()) == sum(shape.cost for shape in HyperBand(max_steps=9).shapes)
