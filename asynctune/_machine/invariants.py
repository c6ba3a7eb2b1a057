"""What must always be true of a machine. Asserted after every test, by whoever drives one."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

from asynctune._machine.parking import who_leaves
from asynctune.records import State

if TYPE_CHECKING:
    from asynctune._machine.machine import Machine
    from asynctune._machine.trial import Trial

__all__ = ["check"]


def check(machine: Machine) -> None:
    """Assert every invariant.

    Raises:
        AssertionError: naming the first that does not hold.
    """
    if not machine.opened:
        return
    _check_trials(machine)
    _check_pins(machine)
    _check_search(machine)


def _check_trials(machine: Machine) -> None:
    book, waiting, policy = machine.book, machine.waiting, machine.settings.failure
    for trial in book.trials.values():
        who = f"trial {trial.id}"
        assert (trial.launch is not None) == (trial.id in book.live), f"{who}: live and its launch disagree"
        if trial.state is State.RUNNING:
            assert trial.launch is not None, f"{who} is RUNNING without a launch"
        if trial.state.ended:
            assert trial.id not in waiting, f"{who} has ended and waits"
            assert trial.ended is not None, f"{who} has ended at no time"
        elif trial.launch is None or trial.launch.parked:
            assert trial.id in waiting, f"{who} is {trial.state.value}, does not run and does not wait"
        else:
            assert trial.id not in waiting, f"{who} runs and waits"
        is_parked = trial.launch is not None and trial.launch.parked
        assert is_parked == (trial.id in book.parked), f"{who}: parked and its launch disagree"
        if trial.launch is not None and is_parked:
            assert trial.state is State.PENDING, f"{who} is {trial.state.value}, and parked"
            assert trial.launch.halted is None, f"{who} is parked, and was told to stop"
        assert trial.launches >= trial.attempt - 1, f"{who} failed more often than it was launched"
        # A policy can be made stricter when a search is opened again, so what counts is that no attempt is granted past it.
        if trial.state is State.RETRYING and machine.opened == 1:
            assert trial.attempt <= 1 + policy.max_retries_per_trial, f"{who} has more attempts than the policy grants"
        steps = [report.step for report in trial.reports]
        assert all(a < b for a, b in pairwise(steps)), f"{who}: steps do not increase: {steps}"
        assert not steps or trial.mark >= steps[-1], f"{who}: its mark {trial.mark} is behind its reports"
        assert trial.view_holds(book.declared), f"{who} is shown as it stood before"
        _check_lineage(machine, trial)


def _check_lineage(machine: Machine, trial: Trial) -> None:
    """What a trial goes on from is held for it, and it stands on nothing that it has left behind."""
    who, pins = f"trial {trial.id}", machine.pins
    needed = machine.needed(trial)
    assert pins.needs(trial.id) == needed, f"{who} needs {set(needed)} and holds {set(pins.needs(trial.id))}"
    assert not (trial.state.ended and trial.needed), f"{who} has ended and holds checkpoints"
    assert trial.state is not State.RUNNING or trial.exploit is None, f"{who} runs, and is still to become another trial"
    assert not trial.origin or not trial.checkpoints, f"{who} has checkpoints of its own, and holds another trial's"
    launches = [origin.launch for origin in trial.lineage]
    assert launches == sorted(set(launches)), f"{who}: its lineage is out of order: {launches}"
    assert not launches or launches[-1] <= trial.launches, f"{who}: its lineage names a launch that never was"
    if trial.lineage:
        last = trial.lineage[-1]
        assert trial.mark >= last.checkpoint.step, f"{who} stands before the step from which it goes on"
        beyond = [r.step for r in trial.reports if r.launch < last.launch and r.step > last.checkpoint.step]
        assert not beyond, f"{who} stands on steps {beyond}, which it has left behind"


def _check_pins(machine: Machine) -> None:
    kept = {key for trial in machine.book.trials.values() for key in trial.checkpoints}
    for key, holders in machine.pins.held.items():
        assert holders, f"{key} is held by nobody"
        assert key in kept or key in machine.pins.doomed, f"{key} is held, and nobody will delete it"
    assert machine.pins.doomed <= machine.pins.held.keys(), "a checkpoint is kept for nobody"
    assert not machine.pins.doomed & kept, "a checkpoint is to be deleted that its own trial has"
    there = machine.shelf.keys()
    assert there == kept | machine.pins.doomed, (
        f"there are {there - kept} more checkpoints, or {kept - there} fewer, than known"
    )


def _check_search(machine: Machine) -> None:
    book, slots = machine.book, machine.slots
    counted = dict.fromkeys(State, 0)
    for trial in book.trials.values():
        counted[trial.state] += 1
    assert counted == book.counts, f"counts {book.counts} are not {counted}"
    assert slots.held >= 0, "more slots used than granted"
    assert slots.requested >= 0, "more slots granted than requested"
    assert slots.requested <= slots.largest, "more slots requested than there ever were"
    assert all(count >= 0 for count in slots.wide.values()), "more wide slots granted than requested"
    most = machine.settings.max_trials
    if most is not None and machine.opened == 1 and not machine.enqueued:
        assert len(book.trials) <= most, f"{len(book.trials)} trials, and max_trials is {most}"
    best = min(
        (t.score for t in book.trials.values() if t.state is State.COMPLETED and t.score is not None and not t.violates),
        key=machine.settings.objective.loss,
        default=None,
    )
    assert best == (book.best.score if book.best is not None else None), "the best trial is not the best"
    assert who_leaves(machine.settings.parking, book.parked.values()) is None, "more are parked than may be"
    assert machine.ending is None or not book.parked, "the search is ending, and trials are parked"
    if machine.over:
        assert not book.live, "the search is over and something runs"
        assert not slots.held, "the search is over and holds slots"
        assert not slots.requested, "the search is over and wants slots"
        assert not +slots.wide, "the search is over and wants wide slots"
    elif machine.ending is None and not machine.user_paused:
        # Live trials and free slots imply progress: something runs, is asked, is requested, or is about to be chosen.
        # Or a retry is not due yet, and then a tick is ordered for no later than that.
        due = machine.waiting.next_due
        assert math.isinf(due) or machine.at < due, "a retry is due and does not wait for a slot"
        assert machine.woken <= due, "nothing will be said when the next retry is due"
        moving = (
            book.moving or machine.asks.in_flight or slots.requested or slots.held or machine.waiting.delayed or +slots.wide
        )
        assert moving, "nothing runs, nothing is asked or requested, and the search is not over"
