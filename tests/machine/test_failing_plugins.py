"""Oracles, schedulers and disks that fail, hang or take their time, in whole searches on virtual time."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from asynctune.errors import PluginError
from asynctune.messages import RunTrial
from asynctune.oracles import Oracle, RandomSearch
from asynctune.policies import Limits
from asynctune.records import STOP, Exploit, Report, State, Suggestion, TrialId, TrialView
from asynctune.schedulers import FIFO, Scheduler
from asynctune.space import Float, HyperParameters, Space
from asynctune.stoppers import TimeBudget
from asynctune.testing import Behaviour, Faults, SimulatedSearch

Does = Callable[[], None]


class Calling(Oracle):
    """Does something of its own when it is asked for trial 3."""

    def __init__(self) -> None:
        self.does: Does = lambda: None

    def populate_space(self, trial_id: TrialId, space: Space) -> Suggestion:
        if trial_id == 3:
            self.does()
        return Suggestion.run({"x": trial_id / 10})


class Unlimited(Calling):
    deadline = None


class Judge(Scheduler):
    """Does something of its own at the second step of trial 1."""

    def __init__(self) -> None:
        self.does: Does = lambda: None

    def on_trial_result(self, trial: TrialView, report: Report) -> None:
        if (trial.id, report.step) == (1, 2):
            self.does()


class Talker(Scheduler):
    """Answers something of its own at the second step of trial 1."""

    nonsense: Any = None

    def on_trial_result(self, trial: TrialView, report: Report) -> Any:
        return self.nonsense if (trial.id, report.step) == (1, 2) else None


def script(order: RunTrial, hp: HyperParameters) -> Behaviour:
    return Behaviour(reports=[(100.0 + 10 * order.trial, {"loss": float(order.trial)})] * 3)


def simulated(**changes: Any) -> SimulatedSearch:
    given: Mapping[str, Any] = {
        "script": script,
        "oracle": RandomSearch(),
        "scheduler": FIFO(),
        "space": {"x": Float(0, 1)},
        "workers": 2,
        "max_trials": 6,
    }
    return SimulatedSearch(**{**given, **changes})


def states(search: SimulatedSearch) -> list[State]:
    return [trial.state for trial in search.trials.values()]


def says(text: str) -> Does:
    def raise_it() -> None:
        raise ValueError(text)

    return raise_it


@pytest.mark.fault(25)
def test_what_runs_when_the_oracle_fails_goes_on_to_its_end_and_the_search_can_be_resumed() -> None:
    oracle = Calling()
    oracle.does = says("bad luck")
    search = simulated(oracle=oracle)
    with pytest.raises(PluginError, match=r"Calling\.populate_space raised ValueError: bad luck"):
        search.run()
    assert states(search) == [State.COMPLETED] * 3
    again = simulated(oracle=Calling(), records=search.records).run()
    assert states(again) == [State.COMPLETED] * 6
    assert [trial.launches for trial in again.trials.values()] == [1] * 6


@pytest.mark.fault(25)
def test_limits_and_stoppers_count_while_the_last_trials_go_on() -> None:
    oracle, hangs = Calling(), Faults(seed=1, hangs=1.0, within=0.0)
    oracle.does = says("bad luck")
    search = simulated(oracle=oracle, faults=hangs, limits=Limits(trial_time=1000.0), workers=4, max_trials=4)
    with pytest.raises(PluginError):
        search.run()
    assert states(search) == [State.FAILED] * 3
    search = simulated(oracle=oracle, stoppers=[TimeBudget(450.0)])
    with pytest.raises(PluginError):
        search.run()
    assert {trial.stop_reason for trial in search.trials.values()} == {None, "time budget of 450 s"}


@pytest.mark.fault(25)
def test_an_oracle_that_hangs_has_failed_when_its_deadline_is_over(caplog: pytest.LogCaptureFixture) -> None:
    oracle = Calling()
    search = simulated(oracle=oracle)
    oracle.does = lambda: search.block(math.inf)
    with pytest.raises(PluginError, match=r"Calling\.populate_space has not returned for 600 s, which is its deadline"):
        search.run()
    assert states(search) == [State.COMPLETED] * 3
    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warned == ["Calling.populate_space has not returned for 60 s; no trial can be proposed until it does"]
    assert search.records[-1].stimulus.at == pytest.approx(330 + 600, abs=1)


def test_an_oracle_without_a_deadline_is_waited_for_and_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    oracle = Unlimited()
    search = simulated(oracle=oracle)
    oracle.does = lambda: search.block(86_400.0)
    search.run()
    assert states(search) == [State.COMPLETED] * 6
    assert [record.getMessage() for record in caplog.records] == [
        "Unlimited.populate_space has not returned for 60 s; no trial can be proposed until it does"
    ]


@pytest.mark.fault(24)
def test_a_scheduler_that_hangs_ends_the_search_by_its_name_and_it_can_be_resumed() -> None:
    judge = Judge()
    search = simulated(scheduler=judge)
    judge.does = lambda: search.block(math.inf)
    with pytest.raises(PluginError, match=r"Judge\.on_trial_result \(trial \d+, step \d+\) has not returned for 60 s"):
        search.run()
    assert states(simulated(scheduler=Judge(), records=search.records).run()) == [State.COMPLETED] * 6


@pytest.mark.fault(24)
@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
def test_a_scheduler_that_raises_ends_the_search_by_its_name(error: type[BaseException]) -> None:
    judge = Judge()

    def raises() -> None:
        raise error("bad luck")

    judge.does = raises
    search = simulated(scheduler=judge)
    with pytest.raises(PluginError, match=rf"Judge\.on_trial_result raised {error.__name__}: bad luck \(trial 1, step 2\)"):
        search.run()
    assert states(simulated(scheduler=Judge(), records=search.records).run()) == [State.COMPLETED] * 6


@pytest.mark.fault(24)
@pytest.mark.parametrize("nonsense", ["stop", 3, {7: STOP}, {"a": STOP}, Exploit(0), object(), [STOP]])
def test_a_scheduler_that_answers_nonsense_ends_the_search_by_its_name_and_it_can_be_resumed(nonsense: Any) -> None:
    talker = Talker()
    talker.nonsense = nonsense
    search = simulated(scheduler=talker)
    with pytest.raises(PluginError, match=r"^Talker"):
        search.run()
    assert states(simulated(scheduler=Talker(), records=search.records).run()) == [State.COMPLETED] * 6


@pytest.mark.fault(12)
def test_a_slow_hook_is_named(caplog: pytest.LogCaptureFixture) -> None:
    judge = Judge()
    search = simulated(scheduler=judge)
    judge.does = lambda: search.block(0.25)
    search.run()
    assert [record.getMessage() for record in caplog.records] == [
        "Judge.on_trial_result took 0.25 s to answer to Heard, and every trial waited for it"
    ]


@pytest.mark.fault(12)
def test_nobody_is_blamed_when_it_is_the_disk_that_is_slow(caplog: pytest.LogCaptureFixture) -> None:
    simulated(scheduler=Judge(), faults=Faults(slow_disk=5.0)).run()
    assert caplog.records == []


@pytest.mark.fault(13)
def test_a_disk_that_is_full_for_a_while_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    search = simulated(faults=Faults(full_disk=0.3)).run()
    assert states(search) == [State.COMPLETED] * 6
    assert "the simulated disk is full. Nothing goes on until it can" in caplog.text


def test_a_trial_that_hangs_without_a_limit_is_said_not_waited_for() -> None:
    with pytest.raises(RuntimeError, match="nothing can happen any more, and the search is not over: <Machine"):
        simulated(faults=Faults(hangs=1.0)).run()


def test_what_a_script_raises_comes_out() -> None:
    def broken(order: RunTrial, hp: HyperParameters) -> Behaviour:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        simulated(script=broken).run()


def test_a_search_is_killed_at_any_time_and_goes_on() -> None:
    whole = simulated().run()
    for at in (0.0, 50.0, 100.0, 650.0):
        killed = simulated().run(killed_at=at)
        assert killed.end is None
        assert len(killed.records) < len(whole.records)
        assert states(simulated(records=killed.records).run()) == [State.COMPLETED] * 6


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"dies": 2.0}, r"Faults\(dies=...\) takes a number of at least 0 and at most 1"),
        ({"late": -1.0}, r"Faults\(late=...\)"),
        ({"slow_disk": math.inf}, r"Faults\(slow_disk=...\)"),
        ({"dies": 0.6, "zygote": 0.6}, r"is at most 1, not 1.2"),
    ],
)
def test_faults_that_cannot_be_are_refused(wrong: Mapping[str, float], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Faults(**wrong)  # type: ignore[arg-type]
