"""Opening a search again: what may differ from what is recorded, what may not, and how that is said."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from asynctune._engine.opening import check_settings, fold, referenced
from asynctune._engine.record import Record
from asynctune._machine.instructions import Ask, TellEnd, TellReport
from asynctune._machine.machine import Machine
from asynctune._machine.stimuli import SlotGranted, Ticked
from asynctune.errors import JournalError, ResumeError
from asynctune.events import SearchOpened
from asynctune.messages import FillRule
from asynctune.objective import Objective
from asynctune.policies import CheckpointPolicy, FailurePolicy, Limits, Resources
from asynctune.records import CheckpointKey, Report, State, Stop, TrialView, Verdicts
from asynctune.schedulers import FIFO, Scheduler
from asynctune.space import Boolean, Float, Int
from tests.machine.driven import Driven, settings

SPACE = {"x": Int(0, 9), "y": Float(0, 1)}
RECORDED = settings(space=SPACE)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"max_trials": 7},
        {"failure": FailurePolicy(max_retries_per_trial=9)},
        {"limits": Limits(trial_time=3)},
        {"checkpoints": CheckpointPolicy(keep=None)},
        {"resources": Resources(cpu=2)},
        {"slots": 64, "ahead": 3, "fill": FillRule.DEFAULT, "hears_reports": True},
    ],
)
def test_more_trials_other_limits_and_more_workers_are_accepted(changes: dict[str, Any]) -> None:
    check_settings(RECORDED, evolve(RECORDED, **changes), adopt=False)


@pytest.mark.parametrize("adopt", [False, True])
@pytest.mark.parametrize(
    ("changes", "texts"),
    [
        (
            {"objective": Objective("acc", "max")},
            ["the recorded objective is Objective(loss, min)", "Objective(acc, max) was asked for"],
        ),
        ({"objective": Objective("loss", "max")}, ["cannot be mixed"]),
        ({"objective": Objective("loss", "min", over="best")}, ["cannot be mixed"]),
        ({"space": {"x": Int(0, 9)}}, ["the recorded space is another one: 'y' is gone"]),
        ({"space": {**SPACE, "z": Boolean()}}, ["'z' is new"]),
        ({"space": {"x": Int(0, 10), "y": Float(0, 1)}}, ["'x' was Int(0 to 9) and is Int(0 to 10)"]),
        ({"space": {"x": Int(0, 9, default=3), "y": Float(0, 1)}}, ["'x' was Int(0 to 9) and is Int(0 to 9, default 3)"]),
        ({"space": {}}, ["'x' is gone; 'y' is gone"]),
        ({"seed": 8}, ["the recorded seed is 7, and 8 was asked for", "Leave seed= out"]),
    ],
)
@pytest.mark.fault(29)
def test_another_objective_space_or_seed_is_refused_by_name(changes: dict[str, Any], texts: list[str], adopt: bool) -> None:
    with pytest.raises(ResumeError) as refused:
        check_settings(RECORDED, evolve(RECORDED, **changes), adopt=adopt)
    for text in texts:
        assert text in str(refused.value)


def test_the_same_parameters_in_another_order_are_the_same_space() -> None:
    check_settings(
        RECORDED, evolve(RECORDED, space={name: RECORDED.space[name] for name in reversed(list(RECORDED.space))}), adopt=False
    )


@pytest.mark.parametrize("what", ["oracle", "scheduler"])
@pytest.mark.fault(29)
def test_another_oracle_or_scheduler_has_to_adopt_the_search(what: str) -> None:
    other: dict[str, Any] = {what: "Another({})"}
    asked = evolve(RECORDED, **other)
    with pytest.raises(ResumeError, match=rf'the recorded {what} is Some.*, and Another\(\{{\}}\) was.*resume="adopt"'):
        check_settings(RECORDED, asked, adopt=False)
    check_settings(RECORDED, asked, adopt=True)


# ---------------------------------------------------------------------------------------------------------------- fold


def run_a_little(**changes: Any) -> Driven:
    driven = Driven(hears_reports=True, **changes)
    driven.start(x=3)
    driven.report(0, 1, checkpoint=True, loss=2.0)
    driven.report(0, 2, checkpoint=True, loss=1.0)
    driven.returned(0, loss=1.0)
    driven.start(x=4)
    return driven


def test_the_records_come_to_a_state_and_to_what_the_oracle_was_called_with() -> None:
    driven = run_a_little()
    driven.at = 5.0
    driven.report(1, 1, loss=3.0)
    driven.grant()
    folded = fold(Machine(FIFO()), driven.records)
    assert (folded.seq, folded.at) == (len(driven.records), 5.0)
    calls = [call for call in folded.calls if isinstance(call, Ask | TellReport | TellEnd)]
    assert calls == folded.calls
    called = [(type(call), call.trial if isinstance(call, Ask) else call.trial.id) for call in calls]
    assert called == [(Ask, 0), (TellReport, 0), (TellReport, 0), (TellEnd, 0), (Ask, 1), (TellReport, 1), (Ask, 2)]
    assert {number: answer.suggestion.values["x"] for number, answer in folded.answers.items()} == {1: 3, 2: 4}


def test_nothing_comes_of_nothing() -> None:
    machine = Machine(FIFO())
    folded = fold(machine, [])
    assert (folded.seq, folded.at, folded.calls, folded.answers, machine.opened) == (0, 0.0, [], {}, 0)


@pytest.mark.parametrize(("keep", "kept"), [(1, {2}), (2, {1, 2}), (None, {1, 2})])
def test_the_checkpoints_that_are_kept_are_those_that_the_journal_knows(keep: int | None, kept: set[int]) -> None:
    driven = run_a_little(checkpoints=CheckpointPolicy(keep=keep))
    assert referenced(driven.machine) == {CheckpointKey(0, step, 1) for step in kept}


@pytest.mark.fault(28)
def test_records_of_another_law_are_refused_naming_the_first() -> None:
    driven = run_a_little()
    text = r"record 2 \(SlotGranted\) does not follow by the law of this version: open the search with the version"
    forged = list(driven.records)
    forged[1] = evolve(forged[1], happened=(SearchOpened(times=2),))
    with pytest.raises(JournalError, match=text):
        fold(Machine(FIFO()), forged)


@pytest.mark.parametrize("place", [1, 3, 5])
def test_a_record_that_this_law_would_not_have_made_is_refused(place: int) -> None:
    driven = run_a_little()
    stimulus = evolve(driven.records[2].stimulus, at=driven.records[place].stimulus.at)
    forged = [*driven.records[:place], Record(seq=place + 1, stimulus=stimulus, happened=()), *driven.records[place:]]
    with pytest.raises(JournalError, match="does not follow by the law of this version"):
        fold(Machine(FIFO()), forged)


def test_time_that_goes_back_is_refused() -> None:
    driven = run_a_little()
    driven.tick(9.0)
    late = Record(seq=len(driven.records) + 1, stimulus=SlotGranted(at=1.0), happened=())
    with pytest.raises(JournalError, match="does not follow"):
        fold(Machine(FIFO()), [*driven.records, late])


def test_a_journal_that_does_not_begin_with_an_opening_is_refused() -> None:
    with pytest.raises(JournalError, match=r"record 1 \(Ticked\) does not follow"):
        fold(Machine(FIFO()), [Record(seq=1, stimulus=Ticked(at=0.0), happened=())])


class AtOnce(Scheduler):
    """Stops every trial at its first report."""

    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        return Stop("at once")


def test_what_an_adopted_scheduler_would_have_said_changes_nothing_and_is_no_difference_of_its() -> None:
    driven = run_a_little()
    machine = Machine(AtOnce())
    fold(machine, driven.records)
    assert machine.book.trials[0].state is State.COMPLETED
    assert machine.book.trials[0].stop_reason is None
    assert len(machine.consult.divergences) == 2

    driven.open(scheduler="AtOnce({})")
    machine = Machine(AtOnce())
    fold(machine, driven.records)
    assert machine.consult.divergences == []
