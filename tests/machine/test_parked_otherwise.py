"""Parked trials that are to go on otherwise: as another trial, or with other resources. That takes another launch."""

from __future__ import annotations

from typing import Any

from asynctune._machine.instructions import AnswerReport, GoOn, RequestSlots, StopLaunch
from asynctune._machine.stimuli import SlotGranted
from asynctune.events import Exploited, ParkedGone, Paused, Reallocated, Started
from asynctune.policies import Resources
from asynctune.records import PAUSE, CheckpointKey, Exploit, Reallocate
from tests.machine.driven import Driven, answer
from tests.machine.test_exploit import SOURCE, Copies, two

TWICE = Resources(cpu=2)


class Shifts(Copies):
    """May answer with other resources, too."""

    reallocates = True


def kinds(driven: Driven) -> list[type[Any]]:
    return [type(event) for event in driven.happened()]


def test_who_is_to_go_on_as_another_does_not_wait_as_what_it_is() -> None:
    driven = two({(0, 1): Exploit(1)}, parks=True)
    driven.report(0, 1, loss=9.0)
    (paused,) = [event for event in driven.happened() if isinstance(event, Paused)]
    assert not paused.parked


def test_one_that_is_parked_is_told_to_stop_and_goes_on_as_the_other() -> None:
    driven = two({(0, 1): PAUSE, (1, 5): {0: Exploit(1)}}, parks=True)
    driven.report(0, 1, loss=9.0)
    assert list(driven.machine.book.parked) == [0]
    do = driven.report(1, 5, loss=0.1)
    reason = "goes on as trial 1"
    assert [each for each in do if isinstance(each, StopLaunch)] == [StopLaunch(0, 1, reason, 5.0)]
    assert ParkedGone(trial=0, launch=1, reason=reason) in driven.happened()
    assert Exploited in kinds(driven)
    driven.left(0)
    driven.grant()
    assert driven.happened() == (Started(trial=0, launch=2, attempt=1, step=2, restore=SOURCE),)


def test_one_that_is_parked_and_gets_other_resources_is_told_to_stop() -> None:
    driven = Driven(lambda: Shifts({(0, 1): PAUSE, (1, 5): {0: Reallocate(TWICE)}}), slots=2, max_trials=2, parks=True)
    driven.open()
    for x in (10, 20):
        driven.start(x=x)
    driven.report(0, 1, loss=9.0)
    driven.report(1, 5, loss=0.1)
    assert ParkedGone(trial=0, launch=1, reason=f"goes on with {TWICE.told}") in driven.happened()
    assert Reallocated in kinds(driven)


def wide() -> Driven:
    """A trial that has two slots' width, and is parked at step 3."""
    driven = Driven(lambda: Shifts({(0, 1): Reallocate(TWICE), (0, 3): PAUSE}), slots=2, max_trials=1, parks=True)
    driven.open()
    driven.start(x=1)
    driven.report(0, 1, loss=1.0, checkpoint=True)
    driven.left(0)
    driven.grant()
    driven.tell(SlotGranted(at=0.0, width=2))
    assert driven.happened() == (Started(trial=0, launch=2, attempt=1, step=1, restore=CheckpointKey(0, 1, 1)),)
    driven.report(0, 3, loss=1.0)
    return driven


def test_one_that_takes_several_slots_goes_on_on_as_many() -> None:
    driven = wide()
    assert list(driven.machine.book.parked) == [0]
    assert RequestSlots(1, 2) in driven.grant()
    assert driven.tell(SlotGranted(at=0.0, width=2)) == [GoOn(0, 2, 2), AnswerReport(answer(0, 2, 3))]
    assert driven.view(0).launches == 2


def test_while_it_waits_for_them_it_can_still_be_gone() -> None:
    driven = wide()
    driven.grant()
    driven.died(0, signal=9)
    driven.tell(SlotGranted(at=0.0, width=2))
    assert driven.happened() == (Started(trial=0, launch=3, attempt=1, step=1, restore=CheckpointKey(0, 1, 1)),)


def test_while_it_waits_for_them_the_search_can_be_interrupted() -> None:
    driven = wide()
    driven.grant()
    driven.open()
    assert ParkedGone in kinds(driven)
    driven.grant()
    driven.tell(SlotGranted(at=0.0, width=2))
    assert driven.view(0).launches == 3
