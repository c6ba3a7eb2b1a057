"""Who gets a free slot: what is owed one, then what the scheduler chooses, then the oldest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from attrs import define, field

from asynctune._machine.instructions import AnswerReport, Ask, EndSearch, ReleaseSlot, RequestSlots, StartLaunch
from asynctune._machine.stimuli import PauseAsked, ResumeAsked, WorkersSet
from asynctune.errors import PluginError
from asynctune.events import Paused, SearchEnded, Stopped
from asynctune.failure import Failure, FailureKind
from asynctune.policies import FailurePolicy
from asynctune.records import PAUSE, Choice, Report, State, Suggestion, TrialId, TrialView, Verdicts
from asynctune.schedulers import FIFO, Scheduler
from asynctune.space import Space
from asynctune.views import SearchView
from tests.machine.driven import SPACE, Driven, answer


@define(eq=False, slots=False)
class Chooses(Scheduler):
    """Chooses by a rule, from the ids of those that never ran and of those that wait to go on. Pauses every trial at step 1."""

    rule: Callable[[list[TrialId], list[TrialId]], Any]
    told: list[tuple[str, TrialId, str]] = field(factory=list)

    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        return PAUSE if report.step == 1 else None

    def on_trial_pause(self, trial: TrialView, by: str) -> None:
        self.told.append(("pause", trial.id, by))

    def on_trial_resume(self, trial: TrialView, by: str) -> None:
        self.told.append(("resume", trial.id, by))

    def choose_trial_to_run(self, search: SearchView) -> Choice:
        waiting = [trial for trial in search.trials.values() if trial.state is State.PENDING]
        fresh, held = [t.id for t in waiting if not t.launches], [t.id for t in waiting if t.launches]
        choice: Choice = self.rule(fresh, held)
        return choice


def chooses(rule: Callable[[list[TrialId], list[TrialId]], Any]) -> Callable[[], Scheduler]:
    return lambda: Chooses(rule)


def started(driven: Driven) -> list[TrialId]:
    return [i.order.trial for i in driven.decision.instructions if isinstance(i, StartLaunch)]


def pause(driven: Driven, trial: TrialId) -> None:
    driven.report(trial, 1, loss=1.0)
    driven.left(trial)


# ------------------------------------------------------------------------------------------------------- without choice


def test_the_first_slot_is_asked_for_then_the_oracle_then_the_trial_runs() -> None:
    driven = Driven(max_trials=2)
    assert driven.open() == [RequestSlots(1)]
    assert driven.grant() == [Ask(1, 0, Space(SPACE))]
    do = driven.suggest(x=3)
    assert [type(i) for i in do] == [StartLaunch, RequestSlots]
    assert driven.returned(0, loss=1.0)[1:] == []
    assert driven.grant() == [Ask(2, 1, Space(SPACE))]
    assert [type(i) for i in driven.suggest(x=4)] == [StartLaunch]
    assert driven.returned(1, loss=1.0)[-1] == EndSearch("every trial has ended")


def test_enqueued_trials_go_before_what_was_proposed_in_the_order_in_which_they_were_enqueued() -> None:
    driven = Driven(ahead=1)
    driven.open()
    driven.suggest(x=1)
    for x in (10, 20, 30):
        driven.enqueue(x=x)
    order = []
    for _ in range(4):
        driven.grant()
        (trial,) = started(driven)
        order.append(driven.view(trial).values["x"])
        driven.returned(trial, loss=1.0)
    assert order == [10, 20, 30, 1]


def test_what_never_ran_goes_before_what_was_paused_and_that_before_a_new_proposal() -> None:
    class PausesAtOnce(Scheduler):
        def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
            return PAUSE if report.step == 1 else None

    driven = Driven(PausesAtOnce)
    driven.start(x=1)
    pause(driven, 0)
    driven.enqueue(x=2)
    assert (driven.grant(), started(driven))[1] == [1]
    driven.returned(1, loss=1.0)
    assert (driven.grant(), started(driven))[1] == [0]


def test_nothing_starts_while_the_user_pauses() -> None:
    driven = Driven(failure=FailurePolicy(max_retries_per_trial=1))
    driven.start()
    assert driven.tell(PauseAsked(at=0.0)) == []
    assert driven.grant() == [ReleaseSlot()]
    assert driven.raised(0) == []
    assert driven.tell(ResumeAsked(at=0.0)) == [RequestSlots(1)]
    driven.grant()
    assert started(driven) == [0]


def test_an_answer_that_comes_while_the_user_pauses_waits() -> None:
    driven = Driven()
    driven.open()
    driven.grant()
    assert driven.tell(PauseAsked(at=0.0)) == [ReleaseSlot()]
    assert driven.suggest(x=1) == []
    assert driven.view(0).state is State.PENDING
    assert driven.tell(ResumeAsked(at=0.0)) == [RequestSlots(1)]


def test_a_larger_pool_is_asked_for_more_and_a_smaller_one_for_no_more_than_it_has() -> None:
    driven = Driven(slots=2)
    assert driven.open() == [RequestSlots(2)]
    assert driven.tell(WorkersSet(at=0.0, slots=5)) == [RequestSlots(3)]
    assert driven.tell(WorkersSet(at=0.0, slots=1)) == []
    for _ in range(5):
        driven.grant()
    assert driven.machine.slots.requested == 0


def test_no_more_slots_are_asked_for_than_there_can_be_trials() -> None:
    driven = Driven(slots=8, max_trials=3)
    assert driven.open() == [RequestSlots(3)]


# ------------------------------------------------------------------------------------------------------------ by choice


def test_the_scheduler_chooses_among_those_that_wait_and_hears_of_pause_and_resumption() -> None:
    driven = Driven(chooses(lambda fresh, held: held[1] if len(held) == 2 else "NEW"))
    driven.start(x=1)
    pause(driven, 0)
    driven.start(x=2)
    pause(driven, 1)
    driven.grant()
    assert started(driven) == [1]
    assert isinstance(driven.scheduler, Chooses)
    assert driven.scheduler.told == [("pause", 0, "scheduler"), ("pause", 1, "scheduler"), ("resume", 1, "scheduler")]


def test_retries_and_interrupted_trials_are_owed_a_slot_whatever_the_scheduler_says() -> None:
    driven = Driven(
        chooses(lambda fresh, held: "WAIT" if held else "NEW"), slots=2, failure=FailurePolicy(max_retries_per_trial=1)
    )
    driven.open()
    driven.start(x=1)
    driven.start(x=2)
    driven.lost(1)
    driven.raised(0)
    driven.grant()
    assert started(driven) == [0]
    driven.grant()
    assert started(driven) == [1]


def test_waiting_gives_the_slot_back_until_something_happens() -> None:
    driven = Driven(chooses(lambda fresh, held: "NEW" if 0 in fresh else "WAIT"), ahead=1, slots=2)
    driven.open()
    driven.suggest(x=1)
    driven.grant()
    assert started(driven) == [0]
    assert driven.suggest(x=2) == []
    assert driven.grant() == [ReleaseSlot()]
    assert driven.report(0, 2, loss=1.0) == [RequestSlots(1), AnswerReport(answer(0, 1, 2))]


def test_a_slot_that_only_a_new_trial_could_use_is_not_given_back_and_asked_for_in_a_circle() -> None:
    driven = Driven(chooses(lambda fresh, held: "NEW"), slots=3, max_trials=3)
    driven.open()
    driven.start(x=1)
    pause(driven, 0)
    driven.start(x=2)
    driven.grant()  # for the third and last proposal
    assert driven.machine.asks.in_flight == {3: 2}
    while driven.machine.slots.requested:
        assert driven.grant() == [ReleaseSlot()]
    assert driven.machine.slots.held == 1


def test_at_the_end_the_scheduler_is_asked_before_slots_are() -> None:
    """Else all that are free would come and go with each report."""
    driven = Driven(chooses(lambda fresh, held: held[0] if len(held) == 2 else "NEW"), slots=8, max_trials=3)
    driven.open()
    for trial in range(3):
        driven.start(x=trial)
    while driven.machine.slots.requested:
        driven.grant()
    assert driven.machine.slots.held == 0
    driven.report(0, 1, loss=1.0)
    assert driven.left(0) == []
    assert driven.report(1, 2, loss=1.0) == [AnswerReport(answer(1, 1, 2))]
    assert RequestSlots(1) in driven.report(2, 1, loss=1.0)
    assert driven.left(2) == [RequestSlots(1)]
    driven.grant()
    assert started(driven) == [0]
    assert driven.grant() == [ReleaseSlot()]


def test_what_is_chosen_before_there_is_a_slot_must_be_pending_too() -> None:
    driven = Driven(chooses(lambda fresh, held: 1 if held else "NEW"), slots=2, max_trials=2)
    driven.open()
    for trial in range(2):
        driven.start(x=trial)
    with pytest.raises(PluginError, match="chose trial 1, which is not PENDING"):
        pause(driven, 0)


@pytest.mark.parametrize("choice", ["NEW", "WAIT"])
def test_when_nothing_is_chosen_and_nothing_else_can_come_all_that_wait_are_stopped(choice: str) -> None:
    driven = Driven(chooses(lambda fresh, held: choice if len(held) == 2 else "NEW"), max_trials=2)
    for trial in range(2):
        driven.start(x=trial)
        pause(driven, trial)
    assert driven.happened() == (
        Stopped(trial=0, reason="not promoted", score=1.0),
        Stopped(trial=1, reason="not promoted", score=1.0),
        SearchEnded(reason="every trial has ended"),
    )


def test_when_the_oracle_is_exhausted_all_that_wait_are_stopped() -> None:
    driven = Driven(chooses(lambda fresh, held: "NEW"))
    driven.start(x=1)
    pause(driven, 0)
    driven.grant()
    driven.suggest(Suggestion.exhausted())
    assert driven.happened() == (
        Stopped(trial=0, reason="not promoted", score=1.0),
        SearchEnded(reason="every trial has ended"),
    )


def test_waiting_with_nothing_else_running_asks_for_more_trials_until_there_are_none() -> None:
    driven = Driven(chooses(lambda fresh, held: "WAIT" if held else "NEW"), max_trials=4)
    driven.start(x=1)
    pause(driven, 0)
    driven.grant()
    while driven.machine.asks.in_flight:
        driven.suggest(x=5)
    assert [driven.view(trial).stop_reason for trial in range(4)] == ["not promoted"] * 4


def test_a_choice_whose_process_is_still_on_its_way_out_waits_for_it() -> None:
    driven = Driven(chooses(lambda fresh, held: held[0] if held else "NEW"), max_trials=5)
    driven.start(x=1)
    driven.report(0, 1, loss=1.0)
    assert driven.grant() == [ReleaseSlot()]
    assert driven.left(0) == [RequestSlots(1)]
    driven.grant()
    assert started(driven) == [0]


@pytest.mark.parametrize("choice", [7, -1, 0])
def test_a_choice_that_cannot_run_ends_the_search_naming_it(choice: int) -> None:
    choices: list[Any] = ["NEW"]

    def rule(fresh: list[TrialId], held: list[TrialId]) -> Any:
        return choices[0]

    driven = Driven(lambda: Chooses(rule))
    driven.start(x=1)
    driven.returned(0, loss=1.0)
    choices[:] = [choice]
    with pytest.raises(PluginError, match=f"Chooses.choose_trial_to_run chose trial {choice}, which is not PENDING"):
        driven.grant()


@pytest.mark.parametrize("choice", [None, "new", 1.0, True, [0]])
def test_a_choice_that_is_none_ends_the_search_saying_what_it_must_be(choice: Any) -> None:
    driven = Driven(chooses(lambda fresh, held: choice))
    driven.open()
    with pytest.raises(PluginError, match=r"Chooses.choose_trial_to_run returned .* it must return the id of a PENDING trial"):
        driven.grant()


def test_a_trial_that_the_scheduler_paused_is_not_owed_a_slot_after_a_crash() -> None:
    driven = Driven(chooses(lambda fresh, held: "NEW"), slots=2)
    driven.open()
    driven.start(x=1)
    driven.start(x=2)
    driven.report(0, 1, loss=1.0)
    # Trial 0 was paused and its process had not left; trial 1 ran.
    driven.open()
    reason = "the search was interrupted"
    lost = Failure(kind=FailureKind.LOST, message=reason)
    assert driven.happened()[1:] == (Paused(trial=1, by="loss", reason=reason, launch=1, failure=lost),)
    driven.grant()
    assert started(driven) == [1]


def test_no_choice_is_asked_for_where_there_is_none() -> None:
    driven = Driven(FIFO, max_trials=1)
    driven.start()
    assert driven.decision.answers == ()
