"""What must always be true of a machine. Asserted after every test, by whoever drives one."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

from asynctune._machine.parking import who_leaves
from asynctune.records import State

if TYPE_CHECKING:
    from asynctune._machine.machine import Machine

__all__ = ["check"]


def check(machine: Machine) -> None:
    """Assert every invariant.

    Raises:
        AssertionError: naming the first that does not hold.
    """
    if not machine.opened:
        return
    _check_trials(machine)
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


def _check_search(machine: Machine) -> None:
    book, slots = machine.book, machine.slots
    counted = dict.fromkeys(State, 0)
    for trial in book.trials.values():
        counted[trial.state] += 1
    assert counted == book.counts, f"counts {book.counts} are not {counted}"
    assert slots.held >= 0, "more slots used than granted"
    assert slots.requested >= 0, "more slots granted than requested"
    assert slots.requested <= slots.largest, "more slots requested than there ever were"
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
    elif machine.ending is None and not machine.user_paused:
        # Live trials and free slots imply progress: something runs, is asked, is requested, or is about to be chosen.
        # Or a retry is not due yet, and then a tick is ordered for no later than that.
        due = machine.waiting.next_due
        assert math.isinf(due) or machine.at < due, "a retry is due and does not wait for a slot"
        assert machine.woken <= due, "nothing will be said when the next retry is due"
        moving = book.moving or machine.asks.in_flight or slots.requested or slots.held or machine.waiting.delayed
        assert moving, "nothing runs, nothing is asked or requested, and the search is not over"
