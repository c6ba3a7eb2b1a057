"""The contracts themselves: each plugin here breaks one promise, and is caught by the test that is about it."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

import pytest
from attrs import define, field

from asynctune.errors import PluginError
from asynctune.objective import Objective
from asynctune.oracles import Oracle, RandomSearch
from asynctune.records import PAUSE, STOP, Choice, Report, State, Stop, Suggestion, TrialId, TrialView, Verdicts
from asynctune.schedulers import Scheduler
from asynctune.space import Space
from asynctune.testing import OracleContract, SchedulerContract
from asynctune.testing.contracts.counting import CountingRehearsal
from asynctune.testing.contracts.schedulers import _play
from asynctune.views import SearchView


class Counting(Scheduler):
    def __init__(self) -> None:
        self.calls = 0

    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        self.calls += 1
        return Stop("every third report") if self.calls % 3 == 0 else None


class Raises(Counting):
    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        assert report.metrics["score"] == report.metrics["score"], "no NaN, please"
        return None


class Nonsense(Counting):
    def on_trial_result(self, trial: TrialView, report: Report) -> Any:
        return "STOP"


class JudgesTheDead(Counting):
    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        return {0: STOP}


class StopsWhatHasEnded(Counting):
    def on_trial_complete(self, trial: TrialView) -> Any:
        return STOP


class Sleeps(Counting):
    def choose_trial_to_run(self, search: SearchView) -> Choice:
        return "WAIT"


class RunsWhatRuns(Counting):
    def choose_trial_to_run(self, search: SearchView) -> Choice:
        return 0 if search.trials else "NEW"


class PausesAndChooses(Counting):
    """Nothing is wrong with this one: every trial is set aside once, and taken up again by itself."""

    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        return PAUSE if trial.launches == 1 else None

    def choose_trial_to_run(self, search: SearchView) -> Choice:
        held = (view.id for view in search.trials.values() if view.hold == "paused by the scheduler")
        return next(held, "NEW")


class Lucky(Counting):
    _generator = Random(7)

    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        return Stop("bad luck") if self._generator.random() < 0.5 else None


class SharesItsMemory(Counting):
    seen: list[int] = []  # noqa: RUF012 -- the mistake that it is here for

    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        self.seen.append(trial.id)
        return Stop("the fiftieth report, and all after it") if len(self.seen) >= 50 else None


@define(eq=False)
class ForgetsInACopy(Scheduler):
    """attrs classes with slots pickle their fields alone: what was set beside them (here by `set_search`) is lost."""

    calls: int = field(init=False, default=0)

    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        value = self.objective.of(report.metrics)
        return Stop("bad") if value is not None and self.objective.better(0, value) else None


class WritesOnTheView(Counting):
    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        assert isinstance(report.metrics, dict)
        report.metrics["seen"] = 1.0
        return None


class CountsInItsSettings(Counting):
    def settings(self) -> Mapping[str, Any]:
        return {"calls": self.calls}


class SettingsThatCannotBeWritten(Counting):
    def settings(self) -> Mapping[str, Any]:
        return {"what": {1, 2}}


class LooksThroughAll(Counting):
    def choose_trial_to_run(self, search: SearchView) -> Choice:
        return next((view.id for view in search.trials.values() if view.state is State.PENDING), "NEW")


class SortsAll(Counting):
    def __init__(self) -> None:
        super().__init__()
        self.losses: list[float] = []

    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        self.losses.append(report.metrics["score"])
        self.losses.sort()
        return None


class Silent(Counting):
    def plan(self) -> str:
        return ""


def run(contract: type, make: Callable[[], Any], test: str, **arguments: Any) -> None:
    """Run one test of a contract on a plugin."""
    mine = type("Mine", (contract,), {"make": lambda self: make(), "exhausts": True})()
    getattr(mine, test)(**arguments)


SCHEDULERS = [
    (Raises, "test_every_trial_comes_to_an_end", "no NaN, please"),
    (Nonsense, "test_every_trial_comes_to_an_end", "'STOP' is no verdict on a RUNNING trial"),
    (JudgesTheDead, "test_every_trial_comes_to_an_end", "for trial 0, which has ended"),
    (StopsWhatHasEnded, "test_every_trial_comes_to_an_end", "on_trial_complete answered Stop.* for trial .*, which has ended"),
    (Sleeps, "test_every_trial_comes_to_an_end", "a standstill: nothing runs, .* it chose 'WAIT'"),
    (RunsWhatRuns, "test_every_trial_comes_to_an_end", "choose_trial_to_run answered 0: neither a PENDING trial"),
    (Lucky, "test_told_the_same_it_answers_the_same", None),
    (SharesItsMemory, "test_the_recipe_serves_twice", None),
    (WritesOnTheView, "test_what_it_is_shown_is_left_alone", "on_trial_result changed what it was shown"),
    (CountsInItsSettings, "test_its_settings_are_a_fingerprint", None),
    (SettingsThatCannotBeWritten, "test_its_settings_are_a_fingerprint", "not JSON serializable"),
    (Silent, "test_it_says_what_it_will_do", None),
    (Raises, "test_any_order", "Raises raised AssertionError"),
]
ARGUMENTS: Mapping[str, Mapping[str, Any]] = {
    "test_every_trial_comes_to_an_end": {"seed": 0, "direction": "max", "workers": 3},
    "test_told_the_same_it_answers_the_same": {"seed": 0},
    "test_any_order": {"seeds": range(3)},
    "test_what_it_is_shown_is_left_alone": {"seed": 0},
    "test_spaces_that_are_found_on_the_way": {"seed": 0, "trainable": lambda hp: float(hp.Int("x", 1, 3)), "workers": 2},
    "test_declared_spaces": {"seed": 0, "name": "small", "workers": 2},
    "test_a_small_space_is_tried_to_the_last": {"name": "small", "workers": 3, "trouble": False},
    "test_its_state_can_stand_in_for_its_history": {"seed": 0},
}


@pytest.mark.parametrize(("plugin", "test", "said"), SCHEDULERS, ids=[one[0].__name__ for one in SCHEDULERS])
def test_a_scheduler_that_breaks_a_promise_is_caught(plugin: type[Scheduler], test: str, said: str | None) -> None:
    with pytest.raises((AssertionError, TypeError, ValueError), match=said):
        run(SchedulerContract, plugin, test, **ARGUMENTS.get(test, {}))


@pytest.mark.parametrize(("plugin", "grows"), [(LooksThroughAll, True), (SortsAll, True), (Counting, False)])
def test_costs_that_grow_with_the_search_are_seen(plugin: type[Scheduler], grows: bool) -> None:
    """Also where C code compares what was reported."""
    rehearsal = CountingRehearsal(plugin(), Objective("score", "max"), windows=((10, 20), (290, 300)))
    _play(rehearsal, Random(0), trials=300, workers=4, value=lambda rng, *_: rng.random(), trouble=False, steps=3)
    few, many = rehearsal.means()
    assert (many > 3 * few + 100) == grows, (few, many)


@pytest.mark.parametrize("plugin", [Counting, PausesAndChooses])
def test_a_scheduler_that_keeps_its_promises_passes(plugin: type[Scheduler]) -> None:
    for test in ("test_every_trial_comes_to_an_end", "test_told_the_same_it_answers_the_same", "test_the_recipe_serves_twice"):
        run(SchedulerContract, plugin, test, **ARGUMENTS.get(test, {}))


def test_a_scheduler_that_forgets_in_a_copy_is_caught() -> None:
    from_pickle = SchedulerContract.test_a_copy_goes_on_where_the_original_stands.pytestmark[0].args[1][1]  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match="objective"):
        run(
            SchedulerContract,
            ForgetsInACopy,
            "test_a_copy_goes_on_where_the_original_stands",
            seed=0,
            copied=from_pickle,
        )


class Same(Oracle):
    def populate_space(self, trial_id: TrialId, space: Space) -> Suggestion:
        return Suggestion.run(space.defaults())


class MeansToRepeat(Same):
    repeats = True


class OutOfRange(Same):
    def populate_space(self, trial_id: TrialId, space: Space) -> Suggestion:
        return Suggestion.run(dict.fromkeys(space, 99))


class AlwaysIdle(Same):
    def populate_space(self, trial_id: TrialId, space: Space) -> Suggestion:
        return Suggestion.idle()


class BareValues(Same):
    def populate_space(self, trial_id: TrialId, space: Space) -> Any:
        return space.defaults()


class OneGenerator(Same):
    _seeds = itertools.count()

    def populate_space(self, trial_id: TrialId, space: Space) -> Suggestion:
        return Suggestion.run(space.sample(next(self._seeds)))


class GivesUpSoon(RandomSearch):
    def populate_space(self, trial_id: TrialId, space: Space) -> Suggestion:
        return Suggestion.exhausted() if trial_id >= 10 else super().populate_space(trial_id, space)


class WritesOnTheProposal(RandomSearch):
    def on_trial_end(self, trial: TrialView) -> None:
        assert isinstance(trial.values, dict)
        trial.values["seen"] = True


class HalfAState(RandomSearch):
    def get_state(self) -> Mapping[str, Any]:
        return {}


ORACLES = [
    (OutOfRange, "test_declared_spaces", "that are not in the space: parameter"),
    (AlwaysIdle, "test_declared_spaces", "idle though nothing runs"),
    (BareValues, "test_spaces_that_are_found_on_the_way", "it must return Suggestion.run"),
    (MeansToRepeat, "test_a_small_space_is_tried_to_the_last", None),
    (GivesUpSoon, "test_a_small_space_is_tried_to_the_last", None),
    (WritesOnTheProposal, "test_what_it_is_shown_is_left_alone", "on_trial_end changed what it was shown"),
    (HalfAState, "test_its_state_can_stand_in_for_its_history", "write both or neither"),
]


@pytest.mark.parametrize(("plugin", "test", "said"), ORACLES, ids=[one[0].__name__ for one in ORACLES])
def test_an_oracle_that_breaks_a_promise_is_caught(plugin: type[Oracle], test: str, said: str | None) -> None:
    with pytest.raises((AssertionError, PluginError, TypeError, ValueError), match=said):
        run(OracleContract, plugin, test, **ARGUMENTS[test])


def test_an_oracle_that_remembers_its_luck_is_caught() -> None:
    with pytest.raises(AssertionError):
        run(OracleContract, OneGenerator, "test_told_the_same_it_answers_the_same", seed=0)


class Awaits(RandomSearch):
    async def populate_space(self, trial_id: TrialId, space: Space) -> Suggestion:  # type: ignore[override]
        return super().populate_space(trial_id, space)


def test_an_oracle_may_be_async() -> None:
    for test in ("test_told_the_same_it_answers_the_same", "test_a_small_space_is_tried_to_the_last"):
        run(OracleContract, Awaits, test, **ARGUMENTS[test])


def test_testing_needs_no_pytest_until_a_contract_is_asked_for() -> None:
    code = "import sys, asynctune.testing as t; t.SchedulerRehearsal, t.OracleRehearsal; sys.exit('pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
