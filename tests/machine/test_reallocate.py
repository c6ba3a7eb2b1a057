"""A trial that goes on with other resources, on a slot as wide as several."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from attrs import define

from asynctune._engine.retelling import retold
from asynctune._machine.instructions import ReleaseSlot, RequestSlots, StartLaunch, StopLaunch
from asynctune._machine.slots import slots_for
from asynctune._machine.stimuli import PauseAsked, ResumeAsked, SlotGranted, WorkersSet
from asynctune.errors import PluginError
from asynctune.events import Paused, Reallocated, Reported
from asynctune.policies import Resources
from asynctune.records import CheckpointKey, Choice, Reallocate, Report, State, TrialId, TrialView, Verdicts
from asynctune.schedulers import Scheduler
from asynctune.testing import check_history
from asynctune.views import SearchView
from tests.machine.driven import Driven

TWO = Resources(cpu=2)


@define(eq=False, slots=False)
class Gives(Scheduler):
    """Answers the reports at some (trial, step) as it is told to."""

    reallocates = True

    at: Mapping[tuple[TrialId, int], Any]

    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        return self.at.get((trial.id, report.step))


def gives(at: Mapping[tuple[int, int], Any]) -> Callable[[], Scheduler]:
    return lambda: Gives(at)


def two(at: Mapping[tuple[int, int], Any], **changes: Any) -> Driven:
    driven = Driven(changes.pop("make", gives(at)), **{"slots": 3, "max_trials": 2, **changes})
    driven.open()
    driven.start(x=1)
    driven.start(x=2)
    return driven


def wide(driven: Driven, width: int) -> list[Any]:
    return driven.tell(SlotGranted(at=driven.at, width=width))


def started(do: list[Any]) -> list[tuple[int, int, Resources]]:
    return [(i.order.trial, i.width, i.order.resources) for i in do if isinstance(i, StartLaunch)]


@pytest.mark.parametrize(
    ("resources", "unit", "slots"),
    [
        (Resources(cpu=1), Resources(cpu=1), 1),
        (Resources(cpu=0.5), Resources(cpu=1), 1),
        (Resources(cpu=3), Resources(cpu=2), 2),
        (Resources(cpu=0.3), Resources(cpu=0.1), 3),
        (Resources(cpu=1, gpu=2), Resources(cpu=1, gpu=0.5), 4),
        (Resources(cpu=8, gpu=1), Resources(cpu=1, gpu=1), 8),
        (Resources(gpu=1), Resources(), None),
    ],
)
def test_how_many_slots_it_takes(resources: Resources, unit: Resources, slots: int | None) -> None:
    assert slots_for(resources, unit) == slots


def test_it_is_set_aside_and_goes_on_from_its_newest_checkpoint_on_a_wider_slot() -> None:
    driven = two({(0, 2): Reallocate(TWO)})
    driven.report(0, 1, checkpoint=True, loss=1.0)
    do = driven.report(0, 2, loss=1.0)
    reason = "goes on with 2 cores"
    assert driven.happened() == (
        Reported(trial=0, launch=1, step=2, metrics={"loss": 1.0}),
        Paused(trial=0, by="scheduler", reason=reason),
        Reallocated(trial=0, resources=TWO),
    )
    assert [(i.trial, i.reason) for i in do if isinstance(i, StopLaunch)] == [(0, reason)]
    assert (driven.view(0).state, driven.view(0).resources) == (State.PENDING, TWO)
    assert driven.left(0) == [RequestSlots(1)]
    assert driven.grant() == [ReleaseSlot(), RequestSlots(1, 2)]
    assert started(wide(driven, 2)) == [(0, 2, TWO)]
    assert driven.orders[0].restore == CheckpointKey(0, 1, 1)
    check_history(driven.records)
    assert repr(retold(driven.records).trials[0]) == repr(driven.view(0))


def test_the_same_again_is_nothing() -> None:
    driven = two({(0, 1): Reallocate(Resources(cpu=1))})
    driven.report(0, 1, loss=1.0)
    assert driven.view(0).state is State.RUNNING


def test_fewer_are_a_slot_too() -> None:
    half = Resources(cpu=0.5)
    driven = two({(0, 1): Reallocate(half)})
    driven.report(0, 1, loss=1.0)
    driven.left(0)
    assert started(driven.grant()) == [(0, 1, half)]


def test_while_it_waits_for_its_slot_others_run_on_theirs() -> None:
    driven = two({(0, 1): Reallocate(TWO)}, max_trials=3)
    driven.report(0, 1, loss=1.0)
    driven.left(0)
    driven.grant()
    driven.suggest(x=3)
    assert sorted(driven.machine.book.live) == [1, 2]
    assert dict(driven.machine.waiting.claims) == {0: 2}
    assert driven.machine.look().running == 3


def test_one_that_chooses_sees_who_waits_for_such_a_slot() -> None:
    seen = []

    class Looks(Gives):
        def choose_trial_to_run(self, search: SearchView) -> Choice:
            seen.append(set(search.claimed))
            others = [
                each for each in search.trials if search.trials[each].state is State.PENDING and each not in search.claimed
            ]
            return others[0] if others else "NEW"

    driven = two({(0, 1): Reallocate(TWO)}, make=lambda: Looks({(0, 1): Reallocate(TWO)}), max_trials=3)
    driven.report(0, 1, loss=1.0)
    driven.left(0)
    driven.grant()
    assert (seen[0], seen[-1]) == (set(), {0})
    driven.suggest(x=3)
    assert sorted(driven.machine.book.live) == [1, 2]
    assert started(wide(driven, 2)) == [(0, 2, TWO)]


def test_one_that_is_ended_meanwhile_leaves_its_slot_to_be_given_back() -> None:
    driven = two({(0, 1): Reallocate(TWO)})
    driven.report(0, 1, loss=1.0)
    driven.left(0)
    driven.grant()
    driven.stop_trial(0)
    assert wide(driven, 2) == [ReleaseSlot(2)]


def test_one_that_is_given_others_meanwhile_waits_for_another_slot() -> None:
    driven = two({(0, 1): Reallocate(TWO), (1, 1): {0: Reallocate(Resources(cpu=3))}})
    driven.report(0, 1, loss=1.0)
    driven.left(0)
    driven.grant()
    driven.report(1, 1, loss=1.0)
    assert wide(driven, 2) == [ReleaseSlot(2)]
    driven.grant()
    assert started(wide(driven, 3)) == [(0, 3, Resources(cpu=3))]


def test_nothing_wide_starts_while_the_user_pauses() -> None:
    driven = two({(0, 1): Reallocate(TWO)})
    driven.report(0, 1, loss=1.0)
    driven.left(0)
    driven.grant()
    driven.tell(PauseAsked(at=0.0))
    assert wide(driven, 2) == [ReleaseSlot(2)]
    assert driven.tell(ResumeAsked(at=0.0)) == [RequestSlots(1, 2)]
    assert started(wide(driven, 2)) == [(0, 2, TWO)]


def test_it_waits_again_when_the_search_is_opened_again() -> None:
    driven = two({(0, 1): Reallocate(TWO)})
    driven.report(0, 1, loss=1.0)
    driven.left(0)
    driven.grant()
    driven.open(slots=2)
    driven.grant()
    driven.grant()
    assert driven.machine.waiting.claims == {0: 2}
    assert started(wide(driven, 2)) == [(0, 2, TWO)]


@pytest.mark.parametrize(
    ("resources", "text"),
    [
        (Resources(cpu=4), r"for trial 0, which needs 4 slots of .*, and there are 3"),
        (Resources(gpu=1), r"for trial 0, and each slot was given .*, without any GPU"),
    ],
)
def test_more_than_there_can_be_ends_the_search(resources: Resources, text: str) -> None:
    driven = two({(0, 1): Reallocate(resources)})
    with pytest.raises(PluginError, match=text):
        driven.report(0, 1, loss=1.0)


def test_what_the_user_has_taken_away_meanwhile_is_no_mistake() -> None:
    driven = two({(0, 1): Reallocate(TWO)})
    driven.tell(WorkersSet(at=0.0, slots=1))
    driven.report(0, 1, loss=1.0)
    assert driven.view(0).state is State.PENDING
