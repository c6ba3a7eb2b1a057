"""What follows for the search, whatever happened: is it over, what runs on the free slots, what is to be asked or awaited."""

from __future__ import annotations

import math

from asynctune._machine import asking
from asynctune._machine.heeding import heed
from asynctune._machine.instructions import AnswerReport, EndSearch, GoOn, ReleaseSlot, StartLaunch, WakeAt
from asynctune._machine.situation import Situation
from asynctune._machine.slots import slots_for
from asynctune._machine.trial import Launch, Trial
from asynctune.errors import PluginError
from asynctune.events import Reported, SearchEnded, Started
from asynctune.messages import Answer, Fill, FillRule, RunTrial, What
from asynctune.records import CheckpointKey, Choice, State, TrialId
from asynctune.seeds import derive, fill_seed

__all__ = ["is_settled", "settle", "widely"]


def is_settled(search: Situation) -> bool:
    """Whether nothing has happened but a report that changes nothing for others, as is nearly always so: then what follows for
    the search is what has followed already. (Unless the scheduler had declined a slot, and might not now.)"""
    happened = search.happened
    if len(happened) != 1 or type(happened[0]) is not Reported or search.ending is not None or search.slots.held:
        return False
    return search.waiting.next_due > search.at and not search.consult.watches


def settle(search: Situation) -> None:
    """What follows for the search."""
    search.waiting.come_due(search.at)
    if search.ending is None or search.draining:
        reason = search.consult.stop_search(search.look)
        if reason is not None:
            search.end_early(reason, stop=True)
            heed(search)
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
    if search.waiting.claims and not search.user_paused:
        search.do.extend(search.slots.widen(search.waiting.claims.values()))
    _wake(search)


def _fill_slots(search: Situation) -> None:
    while search.slots.held and not search.user_paused:
        choice = _next(search)
        if choice is None:
            return
        trial = search.book.trials[choice]
        if (width := _width(search, trial)) > 1:
            search.waiting.claim(choice, width)  # this slot is for others
            continue
        search.slots.used()
        _start(search, trial)
    _look_ahead(search)


def _look_ahead(search: Situation) -> None:
    """Where at most those that were set aside could run, ask the scheduler before any slot is asked for. At the end of a search
    it mostly wants none of them yet; else, with each report, all the free slots would come and go."""
    if search.slots.held or search.slots.requested or search.user_paused or search.declined is not None:
        return
    waiting = search.waiting
    if search.can_ask or waiting.fresh_count or waiting.owed_count or not waiting.ready_count or not search.consult.chooses:
        return
    choice = _choice(search)
    if choice == "NEW" or choice == "WAIT":  # noqa: PLR1714 -- so the types know what is left
        search.declined = choice
    elif choice not in waiting:
        search.declined = "WAIT"


def _next(search: Situation) -> TrialId | None:
    """The trial that gets the next free slot. Retries and interrupted trials go first, whatever the scheduler says."""
    if (owed := search.waiting.owed()) is not None:
        return owed
    if not search.consult.chooses:
        return search.waiting.oldest()
    return _chosen(search) if search.waiting.ready_count or search.can_ask else None


def _chosen(search: Situation) -> TrialId | None:
    choice = _choice(search)
    if choice == "NEW":
        new = search.waiting.new()
        search.declined = "NEW" if new is None else None
        return new
    if choice == "WAIT":
        search.declined = "WAIT"
        return None
    if search.waiting.take(choice):
        return choice
    search.declined = "WAIT"  # its process is still on its way out; when that is gone, the scheduler is asked again
    return None


def _choice(search: Situation) -> Choice:
    """What the scheduler wants to run.

    Raises:
        PluginError: a trial that is not PENDING.
    """
    choice = search.consult.choose(search.look())
    if choice == "NEW" or choice == "WAIT":  # noqa: PLR1714 -- so the types know what is left
        return choice
    trial = search.book.trials.get(choice)
    if trial is None or trial.state is not State.PENDING:
        who = search.consult.scheduler_name
        raise PluginError(f"{who}.choose_trial_to_run chose trial {choice}, which is not PENDING: nothing can be run for it")
    return choice


def _width(search: Situation, trial: Trial) -> int:
    """How many slots the trial takes. That may be more than there are, where the search was opened again with fewer; the pool
    then grants it all that there are, when nothing else runs on them."""
    if trial.resources is None:
        return 1
    return slots_for(trial.resources, search.settings.resources) or 1


def widely(search: Situation, width: int) -> None:
    """A slot as wide as several was granted: it is for the first trial that has waited for such a one."""
    trial = None if search.user_paused or search.ending is not None else search.waiting.claimed(width)
    if trial is None:
        search.do.append(ReleaseSlot(width))
    else:
        _start(search, search.book.trials[trial], width)


def _start(search: Situation, trial: Trial, width: int = 1) -> None:
    """Start a launch of the trial, on a slot that was granted."""
    if trial.held_by == "scheduler":
        search.consult.resumed(search.book.view(trial), "scheduler")
    if trial.launch is not None:
        _go_on(search, trial, trial.launch, width)
        return
    restore = _goes_on_from(search, trial)
    rule = search.settings.fill if search.settings.new_entries == "tune" else FillRule.DEFAULT
    number, step = trial.launches + 1, restore.step if restore is not None else 0
    search.happen(trial, Started(trial=trial.id, launch=number, attempt=trial.attempt, step=step, restore=restore))
    values, declared = trial.values(search.book.declared), search.book.declared
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
                resources=trial.resources or search.settings.resources,
                restore=restore,
                step=step,
                parent=trial.parent,
                budget=trial.budget,
                found=tuple(name for name in values if name not in declared),
            ),
            width,
        )
    )


def _go_on(search: Situation, trial: Trial, launch: Launch, width: int) -> None:
    """Its launch, which is parked, goes on."""
    number, step = launch.number, launch.step
    search.happen(trial, Started(trial=trial.id, launch=number, attempt=trial.attempt, step=step, parked=True))
    search.do.append(GoOn(trial.id, number, width))
    if search.reporting != trial.id:  # else it is still to be answered
        search.do.append(AnswerReport(Answer(trial=trial.id, launch=number, step=step, what=What.GO)))


def _goes_on_from(search: Situation, trial: Trial) -> CheckpointKey | None:
    """That of the trial which it is to go on as; its own newest one; as long as it has none, that of the trial as which it has
    gone on, or its parent's. None of them is deleted meanwhile: those of trials that are exploited are pinned, and a parent has
    ended, and keeps its newest one."""
    if trial.exploit is not None:
        return trial.exploit.checkpoint
    own = trial.checkpoint or trial.origin
    return own if own is not None or trial.parent is None else search.book.trials[trial.parent].checkpoint


def _wanted(search: Situation) -> float:
    """How many slots there is work for."""
    if search.user_paused:
        return 0
    if search.declined == "WAIT":
        return search.waiting.owed_count
    # Where only a new trial is wanted, those that were set aside are no work.
    waiting = search.waiting.owed_count + search.waiting.fresh_count if search.declined == "NEW" else search.waiting.ready_count
    ready = waiting + len(search.asks.in_flight)
    if not search.can_ask:
        return ready
    most = search.settings.max_trials
    return math.inf if most is None else ready + most - len(search.book.trials) - len(search.asks.in_flight)


def _end_if_done(search: Situation) -> None:
    if search.book.moving or search.waiting.delayed or search.waiting.claims or search.asks.in_flight or search.can_ask:
        return
    if search.waiting.ready_count and (search.user_paused or search.declined is None):
        return
    for trial in search.waiting.everyone():
        search.stop(search.book.trials[trial], "not promoted")
    heed(search)
    if search.can_ask:
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
    soonest = search.waiting.next_due
    for deadline in search.consult.deadlines():
        if search.at < deadline < soonest:
            soonest = deadline
    if soonest < search.woken:
        search.woken = soonest
        search.do.append(WakeAt(soonest))
