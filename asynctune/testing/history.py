"""The history checker: whether what a journal says is a search that can have been.

As Jepsen does with a database, it looks at nothing but the history. It knows the rules of a search and none of the code that
made it; only its last look tells the records to a fresh machine.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from asynctune._engine.caller import Caller, replay
from asynctune._engine.journal import read_records
from asynctune._engine.opening import Folded, fold, history
from asynctune._engine.record import Record
from asynctune._engine.retelling import retold
from asynctune._machine.machine import Machine
from asynctune._machine.stimuli import Opened
from asynctune.errors import JournalError, PluginError
from asynctune.oracles.base import Oracle
from asynctune.records import LaunchNumber, TrialId, TrialView
from asynctune.schedulers.base import Scheduler
from asynctune.schedulers.fifo import FIFO
from asynctune.space import Space
from asynctune.testing.reading import HistoryError, Reader

__all__ = ["check_history"]


def check_history(
    history: str | Path | Iterable[Record],
    *,
    scheduler: Scheduler | None = None,
    oracle: Oracle | None = None,
    shared: bool = False,
    acknowledged: Iterable[tuple[TrialId, LaunchNumber, int]] = (),
) -> None:
    """Check a search's whole history, by these rules:

    - order: records are numbered from 1 without gaps, and search time never goes back.
    - openings: the first record opens the search; openings are counted; behind the end of a search there is nothing but one.
    - law: every trial is added once, and moves by the table of states.
    - ends: when a search ends nothing runs, and when it ended by itself every trial is COMPLETED or FAILED. Nothing happens to
      a trial that has ended: none runs again.
    - attempts: no trial is tried again past `max_retries_per_trial`, or when its failure ruled that out.
    - launches: a trial's launches are numbered from 1, and the next begins when the one before is over.
    - fencing: only the launch that runs is listened to.
    - steps: the steps that a launch reports increase.
    - checkpoints: a launch goes on from a checkpoint that was reported, of its own trial or, where that has none, of the
      trial as which it goes on, or of its parent, and from its step; and from none that was found gone.
    - parents: a trial's parent has ended when it is added.
    - lineage: a trial goes on as another one from a checkpoint that the other has reported, in its next launch, and stays what
      it is until then.
    - budgets: a trial that has reported the step of its budget is over.
    - slots: each launch has a slot that was granted, as wide as its resources are, and no more run than the search was told
      that there are slots.
    - replay: told to a fresh machine, the records lead to themselves, to a sound machine, and to the same trials.
    - decisions: told the same again, `scheduler` and `oracle` decide the same. Only where they are given.
    - acknowledged: every report that a trial got an answer to is in the history.

    Args:
        history: a search's directory, or its records (of a `SimulatedSearch`).
        scheduler, oracle: fresh ones, made as those of the search; used up.
        shared: whether another search may have enlarged the executor, of which this one was not told: then any number may run.
        acknowledged: (trial, launch, step) of reports after which `trial.report()` is known to have returned.

    Raises:
        HistoryError: (an AssertionError) names the first rule that does not hold, and the record.
        StorageError, JournalCorruptError: there is no search in the directory, or it cannot be read.
    """
    records = read_records(Path(history)) if isinstance(history, str | Path) else list(history)
    reader = Reader(shared=shared)
    for record in records:
        reader.read(record)
    lost = sorted(set(acknowledged) - reader.reported)
    if lost:
        trial, launch, step = lost[0]
        text = f"step {step} of trial {trial}, launch {launch}, was answered and is not recorded ({len(lost)} such reports)"
        raise HistoryError("acknowledged", None, text)
    folded, space = _check_replay(records, scheduler)
    if oracle is not None:
        _check_oracle(folded, space, records, oracle)


# -------------------------------------------------------------------------------------------------------- told again


def _check_replay(records: list[Record], scheduler: Scheduler | None) -> tuple[Folded, Space]:
    machine = Machine(scheduler if scheduler is not None else FIFO())  # the recorded answers win, so any will do
    try:
        folded = fold(machine, records)
        machine.check()
    except (JournalError, PluginError, AssertionError) as error:
        raise HistoryError("replay", None, str(error)) from error
    live = [machine.book.view(trial) for trial in machine.book.trials.values()]
    for told, again in zip(live, retold(records).trials, strict=True):
        if _plainly(told) != _plainly(again):
            raise HistoryError("replay", None, f"trial {told.id} is {told}, and by its own events {again}")
    if scheduler is not None and machine.consult.divergences:
        raise HistoryError("decisions", None, str(machine.consult.divergences[0]))
    return folded, machine.space


def _plainly(view: TrialView) -> str:
    return f"{view} {list(view.reports)}"  # as text, for NaN is not equal to itself


def _check_oracle(folded: Folded, space: Space, records: list[Record], oracle: Oracle) -> None:
    opened = [record.stimulus.settings for record in records if isinstance(record.stimulus, Opened)]
    if not opened:
        return
    caller = Caller(oracle)
    try:
        past = history(folded, opened[-1], Space(opened[-1].space), space)
        caller.begin(past)
        _, divergences = replay(caller, past)
    except PluginError as error:
        raise HistoryError("decisions", None, str(error)) from error
    finally:
        caller.close()
    if divergences:
        raise HistoryError("decisions", None, str(divergences[0]))
