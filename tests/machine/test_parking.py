"""A paused trial that waits with its process: parked, chosen again, sent away, gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from attrs import define, field

from asynctune._engine.record import Record
from asynctune._machine.instructions import AnswerReport, EndSearch, GoOn, ParkLaunch, StartLaunch, StopLaunch
from asynctune._machine.stimuli import (
    Closed,
    ExecutorFailed,
    Heard,
    OracleFailed,
    PauseAsked,
    ResumeAsked,
    Stimulus,
    StopAsked,
    Weighed,
)
from asynctune.events import AttemptFailed, ParkedGone, Paused, Reported, Started, Stopped
from asynctune.messages import Answer, Died, Lost, ParametersDeclared, TrialLeft, TrialRaised, TrialReturned, Weight, What
from asynctune.policies import FailurePolicy, Limit, Limits, Parking, Resources
from asynctune.records import PAUSE, CheckpointKey, Choice, Report, State, Suggestion, TrialView, Verdicts
from asynctune.schedulers import Scheduler
from asynctune.space import Int
from asynctune.testing import HistoryError, check_history
from asynctune.views import SearchView
from tests.machine.driven import Driven, answer, failure
from tests.machine.test_history import changed, in_settings, number_of, put_in

MiB = 2**20
WHY = "paused by the scheduler"


@define(eq=False, slots=False)
class Sets(Scheduler):
    """Sets every trial aside at steps 2 and 4, and the first one at any report of step 9; those that were set aside go on when
    nothing new can come, the youngest first."""

    told: list[tuple[str, int]] = field(factory=list)

    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        self.told.append(("judged", report.step))
        return PAUSE if report.step in (2, 4) else {0: PAUSE} if report.step == 9 else None

    def on_trial_pause(self, trial: TrialView, by: str) -> None:
        self.told.append((by, trial.id))

    def on_trial_resume(self, trial: TrialView, by: str) -> None:
        self.told.append(("resumed", trial.id))

    def choose_trial_to_run(self, search: SearchView) -> Choice:
        held = [number for number, trial in search.trials.items() if trial.state is State.PENDING and trial.launches]
        return "NEW" if search.growing or not held else held[-1]


def driven(count: int = 1, **changes: Any) -> Driven:
    """So many trials that run, and no more to come."""
    made = Driven(Sets, slots=count, **{"max_trials": count, "parks": True, "logs": True, **changes})
    made.open()
    for x in range(count):
        made.start(x=x)
    return made


def park(search: Driven, trial: int = 0, *, step: int = 2, **how: Any) -> list[Any]:
    return search.report(trial, step, loss=1.0, **how)


def wait(trial: int = 0, launch: int = 1, step: int = 2) -> Answer:
    return Answer(trial=trial, launch=launch, step=step, what=What.PARK)


def weigh(search: Driven, trial: int, memory: int, launch: int = 1) -> list[Any]:
    return search.tell(Weighed(at=search.at, weight=Weight(trial=trial, launch=launch, memory=memory)))


def gone(search: Driven) -> list[tuple[int, str]]:
    return [(event.trial, event.reason) for event in search.happened() if isinstance(event, ParkedGone)]


# --------------------------------------------------------------------------------------------------------- parked, or not


def test_who_is_paused_at_a_report_waits_there_and_its_slot_is_free_at_once() -> None:
    search = driven()
    do = park(search)
    assert do[:2] == [ParkLaunch(0, 1), *do[1:2]]
    assert do[-1] == AnswerReport(wait())
    assert not any(isinstance(each, StopLaunch) for each in do)
    assert search.happened()[1:] == (Paused(trial=0, by="scheduler", reason=WHY, parked=True),)
    assert (search.view(0).state, search.view(0).hold) == (State.PENDING, WHY)
    assert search.machine.slots.requested == 1


@pytest.mark.parametrize("saved", [0, 1, 2])
def test_who_has_saved_this_step_gives_up_its_process(saved: int) -> None:
    search = driven()
    search.report(0, 1, loss=1.0, checkpoint=saved == 1)
    park(search, checkpoint=saved == 2)
    assert search.happened()[1:] == (Paused(trial=0, by="scheduler", reason=WHY, parked=saved < 2),)


@pytest.mark.parametrize(
    "changes", [{"parks": False}, {"parking": Parking(max_trials=0)}, {"resources": Resources(gpu=0.5)}], ids=repr
)
def test_where_nobody_can_be_parked_it_leaves_and_goes_on_from_its_checkpoint(changes: dict[str, Any]) -> None:
    search = driven(**changes)
    search.report(0, 1, loss=1.0, checkpoint=True)
    do = park(search)
    assert do[-2:] == [StopLaunch(0, 1, WHY, 5.0, save=True), AnswerReport(answer(0, 1, 2, WHY, save=True))]
    assert search.happened()[1:] == (Paused(trial=0, by="scheduler", reason=WHY),)
    search.left(0)
    search.grant()
    assert search.happened() == (Started(trial=0, launch=2, attempt=1, step=1, restore=CheckpointKey(0, 1, 1)),)


def test_who_is_paused_in_the_middle_of_a_step_cannot_wait_there() -> None:
    search = driven(2)
    do = search.report(1, 9, loss=1.0)
    assert do == [StopLaunch(0, 1, WHY, 5.0), AnswerReport(answer(1, 1, 9))]
    assert search.happened()[1:] == (Paused(trial=0, by="scheduler", reason=WHY),)


# ------------------------------------------------------------------------------------------------------- and goes on


def test_chosen_again_it_goes_on_where_it_stood_on_a_slot_of_its_own() -> None:
    search = driven()
    park(search)
    do = search.grant()
    assert do == [GoOn(0, 1), AnswerReport(answer(0, 1, 2))]
    assert search.happened() == (Started(trial=0, launch=1, attempt=1, step=2, parked=True),)
    assert (search.view(0).state, search.view(0).hold, search.view(0).launches) == (State.RUNNING, None, 1)

    search.report(0, 3, loss=0.5)
    search.returned(0, loss=0.25)
    assert [report.step for report in search.view(0).reports] == [2, 3]
    assert search.machine.over
    assert isinstance(search.scheduler, Sets)
    assert search.scheduler.told == [("judged", 2), ("scheduler", 0), ("resumed", 0), ("judged", 3)]


class Eager(Sets):
    def choose_trial_to_run(self, search: SearchView) -> Choice:
        held = [number for number, trial in search.trials.items() if trial.state is State.PENDING and trial.launches]
        return held[-1] if held else "NEW"


def test_chosen_in_the_same_breath_it_is_answered_once() -> None:
    search = Driven(Eager, slots=2, parks=True)
    search.open()
    search.start(x=1)
    search.grant()  # for the next proposal, which is being made
    do = park(search)
    assert [each for each in do if isinstance(each, AnswerReport | GoOn | ParkLaunch | StartLaunch)] == [
        ParkLaunch(0, 1),
        GoOn(0, 1),
        AnswerReport(answer(0, 1, 2)),
    ]


def test_what_it_named_of_the_space_is_still_known_when_it_goes_on() -> None:
    search = driven(new_entries="default")
    search.declare(0, {"z": Int(0, 3)}, z=1)
    park(search)
    search.grant()
    search.declare(0, {}, z=1)
    assert search.view(0).state is State.RUNNING
    assert search.view(0).values == {"x": 0, "z": 1}


def test_parked_again_and_again_it_remains_one_launch() -> None:
    search = driven()
    park(search)
    search.grant()
    park(search, step=4)
    assert search.happened()[1:] == (Paused(trial=0, by="scheduler", reason=WHY, parked=True),)
    assert search.grant() == [GoOn(0, 1), AnswerReport(answer(0, 1, 4))]
    assert search.view(0).launches == 1


def test_while_it_is_parked_its_words_count_for_nothing() -> None:
    search = driven()
    park(search)
    assert search.report(0, 3, loss=0.0) == [AnswerReport(wait(step=3))]
    assert search.decision.void
    search.tell(Heard(at=0.0, message=ParametersDeclared(trial=0, launch=1, parameters={}, values={"x": 3})))
    assert search.decision.void
    assert search.view(0).state is State.PENDING


def test_who_breaks_a_limit_while_it_is_parked_is_gone_and_has_not_failed() -> None:
    search = driven(limits=Limits(memory=MiB))
    park(search)
    do = search.broke(0, Limit.MEMORY, 2 * MiB)
    assert do[0] == StopLaunch(0, 1, "it held 2 MiB of memory: Limits(memory=1 MiB)", 5.0, save=True)
    assert gone(search) == [(0, "it held 2 MiB of memory: Limits(memory=1 MiB)")]
    search.died(0, signal=9)
    search.grant()
    assert search.happened() == (Started(trial=0, launch=2, attempt=1),)


def test_what_fails_behind_it_is_an_attempt_like_any_other() -> None:
    search = driven(failure=FailurePolicy(max_retries_per_trial=1), limits=Limits(trial_time=10))
    park(search)
    search.grant()
    search.raised(0)
    assert isinstance(search.happened()[0], AttemptFailed)
    search.grant()
    assert search.happened() == (Started(trial=0, launch=2, attempt=2),)


# ---------------------------------------------------------------------------------------------------- the bounds


def test_the_one_that_loses_least_makes_room_and_of_several_the_youngest() -> None:
    search = driven(4, parking=Parking(max_trials=2))
    search.report(0, 1, loss=1.0, checkpoint=True)  # so it would lose one step, and the others two
    for trial in (0, 1, 2):
        park(search, trial)
        assert gone(search) == ([(0, "there is no room for it: Parking(max_trials=2)")] if trial == 2 else [])
    do = park(search, 3)
    # It is the youngest itself.
    assert search.happened()[1:] == (Paused(trial=3, by="scheduler", reason=WHY),)
    assert [each for each in do if isinstance(each, StopLaunch)] == [StopLaunch(3, 1, WHY, 5.0, save=True)]
    assert list(search.machine.book.parked) == [1, 2]


def test_who_made_room_runs_again_when_its_process_is_gone_and_no_step_is_judged_twice() -> None:
    search = driven(2, parking=Parking(max_trials=1))
    park(search, 1)
    search.report(0, 1, loss=1.0)
    park(search, 0)  # as much to lose, and older
    assert gone(search) == [(1, "there is no room for it: Parking(max_trials=1)")]
    assert search.happened()[-1] == Paused(trial=0, by="scheduler", reason=WHY, parked=True)
    assert 1 not in search.machine.waiting

    search.left(1)
    search.grant()
    assert search.happened() == (Started(trial=1, launch=2, attempt=1),)
    search.report(1, 1, loss=7.0)
    search.report(1, 2, loss=7.0)
    assert search.happened() == (Reported(trial=1, launch=2, step=2, metrics={"loss": 7.0}, judged=False),)
    assert search.view(1).state is State.RUNNING
    assert search.view(1).attempt == 1


def test_what_they_hold_together_is_bounded() -> None:
    search = driven(3, parking=Parking(max_memory=4 * MiB))
    for trial in range(3):
        park(search, trial)
    weigh(search, 0, 2 * MiB)
    weigh(search, 1, 2 * MiB)
    assert gone(search) == []
    do = weigh(search, 2, 1)
    why = "there is no room for it: Parking(max_memory='4 MiB')"
    assert do[0] == StopLaunch(2, 1, why, 5.0, save=True)
    assert gone(search) == [(2, why)]
    assert list(search.machine.book.parked) == [0, 1]


def test_for_one_that_holds_too_much_alone_no_room_can_be_made() -> None:
    search = driven(2, parking=Parking(max_memory=4 * MiB))
    search.report(0, 1, loss=1.0)
    park(search, 0, step=2)
    park(search, 1)
    weigh(search, 1, MiB)
    weigh(search, 0, 5 * MiB)
    assert [trial for trial, _ in gone(search)] == [0]
    assert list(search.machine.book.parked) == [1]


def test_what_it_held_before_counts_until_it_is_weighed_again() -> None:
    search = driven(2, parking=Parking(max_memory=4 * MiB))
    park(search, 0)
    weigh(search, 0, 3 * MiB)
    search.grant()  # nothing new can come, so it goes on
    assert weigh(search, 0, 9 * MiB) == []
    assert search.decision.void
    park(search, 1)
    weigh(search, 1, 3 * MiB)
    search.report(0, 9, loss=1.0)  # trial 0 is paused at its own report
    assert [trial for trial, _ in gone(search)] == [1]  # it has run two steps, and the other one nine
    assert list(search.machine.book.parked) == [0]


def test_the_weight_of_another_launch_counts_for_nothing() -> None:
    search = driven()
    park(search)
    for trial, launch in ((0, 2), (7, 1)):
        assert weigh(search, trial, 9 * 2**40, launch=launch) == []
        assert search.decision.void


# ----------------------------------------------------------------------------------------------------- its process ends


@pytest.mark.parametrize(
    ("kind", "said", "why"),
    [
        (Died, {"signal": 9}, "its process was killed by signal 9 (SIGKILL)"),
        (Died, {"signal": 9, "out_of_memory": True}, "memory ran out, and the kernel killed its process"),
        (Died, {"exit_code": 0}, "its process exited with code 0 before it returned a result"),
        (Lost, {"reason": "the zygote died"}, "the zygote died"),
        (TrialRaised, {"failure": failure("ValueError: woken")}, "it raised ValueError: woken"),
        (TrialReturned, {"metrics": {"loss": 0.0}}, "it returned, and had been told to wait"),
        (TrialLeft, {}, "it left, and had been told to wait"),
        (TrialLeft, {"infeasible": "too large"}, "it left, and had been told to wait"),
    ],
)
def test_who_dies_parked_loses_what_it_had_in_hand_and_nothing_else(
    kind: Callable[..., Any], said: dict[str, Any], why: str
) -> None:
    search = driven()
    search.report(0, 1, loss=1.0, checkpoint=True)
    park(search)
    before = search.view(0)
    search.end(kind, 0, **said)
    assert search.happened() == (ParkedGone(trial=0, launch=1, reason=why),)
    assert search.view(0) == before
    search.grant()
    assert search.happened() == (Started(trial=0, launch=2, attempt=1, step=1, restore=CheckpointKey(0, 1, 1)),)
    search.report(0, 2, loss=1.0)
    assert search.view(0).state is State.RUNNING  # judged once, it is not paused again


def test_a_crash_takes_the_parked_with_it_and_they_begin_anew() -> None:
    search = driven(2)
    park(search, 0)
    search.open()
    assert (0, "the search was interrupted") in gone(search)
    for _ in range(2):
        search.grant()
    assert (search.view(0).launches, search.view(1).launches) == (2, 2)
    assert [search.view(trial).attempt for trial in (0, 1)] == [1, 1]


# ------------------------------------------------------------------------------------------------------ the search ends


@pytest.mark.parametrize(
    "stimulus",
    [
        StopAsked(at=0.0, reason="enough"),
        Closed(at=0.0),
        ExecutorFailed(at=0.0, message="no fork"),
        OracleFailed(at=0.0, message="it raised"),
    ],
    ids=lambda stimulus: type(stimulus).__name__,
)
def test_when_the_search_ends_the_parked_are_sent_away_and_waited_for(stimulus: Stimulus) -> None:
    search = driven(2)
    park(search, 0)
    do = search.tell(stimulus)
    assert 0 in [each.trial for each in do if isinstance(each, StopLaunch)]
    assert [trial for trial, _ in gone(search)] == [0]
    search.returned(1, loss=1.0)
    assert not search.machine.over
    do = search.left(0)
    assert isinstance(do[-1], EndSearch)
    assert search.view(0).state is State.PENDING


def test_while_the_last_ones_go_on_to_their_end_nobody_is_parked() -> None:
    search = driven(1, max_trials=None)
    search.tell(OracleFailed(at=0.0, message="it raised"))
    park(search)
    assert search.happened()[1:] == (Paused(trial=0, by="scheduler", reason=WHY),)


def test_the_user_ends_a_parked_trial() -> None:
    search = driven()
    park(search)
    do = search.stop_trial(0)
    assert [type(each) for each in search.happened()] == [Stopped]
    assert StopLaunch(0, 1, "enough", 5.0) in do
    assert (search.view(0).state, search.view(0).score) == (State.COMPLETED, 1.0)
    assert isinstance(search.left(0)[-1], EndSearch)


class Never(Sets):
    def choose_trial_to_run(self, search: SearchView) -> Choice:
        return "NEW"


def test_those_that_nobody_chooses_are_not_promoted_and_sent_away() -> None:
    search = Driven(Never, slots=1, max_trials=2, parks=True)
    search.open()
    search.start(x=1)
    park(search)
    search.grant()
    search.suggest(x=2)
    search.returned(1, loss=0.0)
    assert type(search.happened()[-1]) is Stopped
    assert search.view(0).stop_reason == "not promoted"
    assert not search.machine.over
    assert isinstance(search.left(0)[-1], EndSearch)


def test_an_idle_oracle_is_asked_when_all_are_parked_and_nobody_is_chosen() -> None:
    search = Driven(Never, slots=1, parks=True)
    search.open()
    search.start(x=1)
    park(search)
    search.grant()
    search.suggest(Suggestion.idle())
    # It could hear of no end any more, so the parked trial is let go; then it can.
    assert search.view(0).stop_reason == "not promoted"


def test_a_search_that_the_user_pauses_keeps_its_parked_and_starts_none() -> None:
    search = driven()
    search.tell(PauseAsked(at=0.0))
    park(search)
    assert list(search.machine.book.parked) == [0]
    assert search.machine.slots.requested == 0
    search.tell(ResumeAsked(at=0.0))
    assert search.grant() == [GoOn(0, 1), AnswerReport(answer(0, 1, 2))]


# ----------------------------------------------------------------------------------------------------------- its history


def history() -> list[Record]:
    """A trial that is parked twice, and the second time dies."""
    search = driven()
    park(search)
    weigh(search, 0, MiB)
    search.grant()
    park(search, step=4)
    search.died(0, signal=9)
    search.grant()
    search.returned(0, loss=1.0)
    return search.records


GONE = ParkedGone(trial=0, launch=1, reason="gone")
BROKEN: dict[str, Callable[[list[Record]], list[Record]]] = {
    "it goes on, and was not parked": lambda r: changed(r, Paused, parked=False),
    "it goes on from another step": lambda r: changed(r, Started, nth=1, step=1),
    "it goes on from a checkpoint": lambda r: changed(r, Started, nth=1, restore=CheckpointKey(0, 2, 1)),
    "it goes on as another launch": lambda r: changed(r, Started, nth=1, launch=2),
    "nobody can be parked": lambda r: in_settings(r, parks=False),
    "nobody may be parked": lambda r: in_settings(r, parking=Parking(max_trials=0)),
    "it holds a GPU": lambda r: in_settings(r, resources=Resources(gpu=1)),
    "it goes on, and is gone": lambda r: put_in(r, number_of(r, Paused), GONE),
    "it is gone, and was not parked": lambda r: put_in(r, number_of(r, Started), GONE),
    "it is gone twice": lambda r: put_in(r, number_of(r, ParkedGone), GONE),
    "another launch is gone": lambda r: changed(r, ParkedGone, launch=2),
}


def test_a_history_with_parked_trials_is_taken_wherever_it_is_cut_off() -> None:
    for length in range(len(history()) + 1):
        check_history(history()[:length])


@pytest.mark.parametrize("how", BROKEN)
def test_a_history_in_which_nobody_can_have_been_parked_so_is_named(how: str) -> None:
    with pytest.raises(HistoryError) as caught:
        check_history(BROKEN[how](history()))
    assert caught.value.rule == "parking", str(caught.value)


# ------------------------------------------------------------------------------------------------------------ the policy


@pytest.mark.parametrize("given", [{"max_trials": -1}, {"max_trials": 1.5}, {"max_trials": True}])
def test_a_number_that_cannot_be_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(Exception, match=r"Parking\(max_trials=...\) takes an integer of at least 0 or None, not"):
        Parking(**given)


@pytest.mark.parametrize("given", ["4 bytes", 1023, 2**63, -1])
def test_a_size_that_cannot_be_is_refused(given: Any) -> None:
    with pytest.raises(Exception, match=r"Parking\(max_memory=...\) takes a size of at least 1,048,576 bytes"):
        Parking(max_memory=given)


def test_sizes_are_text_too_and_a_machine_of_24_gib_survives_the_defaults() -> None:
    assert Parking(max_memory="2 GiB").max_memory == 2 * 2**30
    assert Parking() == Parking(max_trials=64, max_memory="4 GiB")
