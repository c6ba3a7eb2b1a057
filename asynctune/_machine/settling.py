"""What follows for the search, whatever happened: is it over, what runs on the free slots, what is to be asked or awaited."""

from __future__ import annotations

import math

from asynctune._machine import asking
from asynctune._machine.instructions import EndSearch, StartLaunch, WakeAt
from asynctune._machine.situation import Situation
from asynctune._machine.trial import Trial
from asynctune.errors import PluginError
from asynctune.events import SearchEnded, Started
from asynctune.messages import Fill, FillRule, RunTrial
from asynctune.records import CheckpointKey, State, TrialId
from asynctune.seeds import derive, fill_seed

__all__ = ["settle"]


def settle(search: Situation) -> None:
    """What follows for the search."""
    search.waiting.come_due(search.at)
    if search.ending is None or search.draining:
        reason = search.consult.stop_search(lambda: search.book.search_view(search.at, search.settings.objective))
        if reason is not None:
            search.end_early(reason, stop=True)
    if search.ending is None:
        _fill_slots(search)
        _end_if_done(search)
    if search.ending is not None:
        search.do.extend(search.slots.give_back())
        if not search.book.live:
            _end(search, search.ending)
        elif search.draining:
            _wake(search)
        return
    asking.ask(search)
    keep = 0 if search.user_paused else len(search.asks.in_flight)
    search.do.extend(search.slots.balance(keep=keep, wanted=_wanted(search)))
    _wake(search)


def _fill_slots(search: Situation) -> None:
    while search.slots.held and not search.user_paused:
        choice = _next(search)
        if choice is None:
            return
        search.slots.used()
        _start(search, search.book.trials[choice])


def _next(search: Situation) -> TrialId | None:
    """The trial that gets the next free slot. Retries and interrupted trials go first, whatever the scheduler says."""
    if (owed := search.waiting.owed()) is not None:
        return owed
    if not search.consult.chooses:
        return search.waiting.oldest()
    return _chosen(search) if search.waiting.ready_count or asking.can_ask(search) else None


def _chosen(search: Situation) -> TrialId | None:
    choice = search.consult.choose(search.book.search_view(search.at, search.settings.objective))
    if choice == "NEW":
        new = search.waiting.new()
        search.declined = "NEW" if new is None else None
        return new
    if choice == "WAIT":
        search.declined = "WAIT"
        return None
    if search.waiting.take(choice):
        return choice
    trial = search.book.trials.get(choice)
    if trial is None or trial.state is not State.PENDING:
        who = search.consult.scheduler_name
        raise PluginError(f"{who}.choose_trial_to_run chose trial {choice}, which is not PENDING: nothing can be run for it")
    search.declined = "WAIT"  # its process is still on its way out; when that is gone, the scheduler is asked again
    return None


def _start(search: Situation, trial: Trial) -> None:
    if trial.held_by == "scheduler":
        search.consult.resumed(search.book.view(trial), "scheduler")
    restore = _goes_on_from(search, trial)
    rule = search.settings.fill if search.settings.new_entries == "tune" else FillRule.DEFAULT
    values, declared = trial.values(search.book.declared), search.book.declared
    number, step = trial.launches + 1, restore.step if restore is not None else 0
    search.happen(trial, Started(trial=trial.id, launch=number, attempt=trial.attempt, step=step, restore=restore))
    search.do.append(
        StartLaunch(
            RunTrial(
                trial=trial.id,
                launch=number,
                attempt=trial.attempt,
                values=values,
                space=search.space.parameters,
                fill=Fill(rule, fill_seed(search.settings.seed, trial.id)),
                seed=derive(derive(search.settings.seed, "trial", trial.id), trial.attempt),
                resources=search.settings.resources,
                restore=restore,
                step=step,
                parent=trial.parent,
                budget=trial.budget,
                found=tuple(name for name in values if name not in declared),
            )
        )
    )


def _goes_on_from(search: Situation, trial: Trial) -> CheckpointKey | None:
    """Its own newest checkpoint; as long as it has none, its parent's. That is never deleted: a trial keeps at least its newest
    one, and a parent has ended."""
    if trial.checkpoint is not None or trial.parent is None:
        return trial.checkpoint
    return search.book.trials[trial.parent].checkpoint


def _wanted(search: Situation) -> float:
    """How many slots there is work for."""
    if search.user_paused:
        return 0
    if search.declined == "WAIT":
        return search.waiting.owed_count
    # Where only a new trial is wanted, those that were set aside are no work.
    waiting = search.waiting.owed_count + search.waiting.fresh_count if search.declined == "NEW" else search.waiting.ready_count
    ready = waiting + len(search.asks.in_flight)
    if not asking.can_ask(search):
        return ready
    most = search.settings.max_trials
    return math.inf if most is None else ready + most - len(search.book.trials) - len(search.asks.in_flight)


def _end_if_done(search: Situation) -> None:
    if search.book.live or search.waiting.delayed or search.asks.in_flight or asking.can_ask(search):
        return
    if search.waiting.ready_count and (search.user_paused or search.declined is None):
        return
    for trial in search.waiting.everyone():
        search.stop(search.book.trials[trial], "not promoted")
    if asking.can_ask(search):
        return  # the oracle was idle, and has heard of new ends
    if search.asks.idle:
        text = f"{search.oracle_name} is idle though nothing runs: it must propose something, or say that it is exhausted"
        search.end_early(text, error="PluginError")
    elif search.book.trials:
        search.end_early("every trial has ended")
    else:
        ruled = ", and the space has rules" if search.settings.forbidden or search.settings.feasible else ""
        search.end_early(f"there was nothing to try: {search.oracle_name} proposed nothing at all{ruled}")


def _end(search: Situation, ending: SearchEnded) -> None:
    search.over = True
    search.slots.withdraw()
    search.happened.append(ending)
    search.do.append(EndSearch(ending.reason, ending.error, ending.failures))


def _wake(search: Situation) -> None:
    deadlines = [*search.consult.deadlines(), search.waiting.next_due]
    soonest = min((deadline for deadline in deadlines if deadline > search.at), default=math.inf)
    if soonest < search.woken:
        search.woken = soonest
        search.do.append(WakeAt(soonest))
