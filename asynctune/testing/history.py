"""The history checker: whether what a journal says is a search that can have been.

As Jepsen does with a database, it looks at nothing but the history. It knows the rules of a search and none of the code that
made it; only its last look tells the records to a fresh machine.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from asynctune._engine.journal import read_records
from asynctune._engine.record import Record
from asynctune.oracles.base import Oracle
from asynctune.records import LaunchNumber, TrialId
from asynctune.schedulers.base import Scheduler
from asynctune.testing.again import check_oracle, check_replay, check_rules, declared_space
from asynctune.testing.breach import HistoryError
from asynctune.testing.reading import Reader

__all__ = ["check_history"]


def check_history(
    history: str | Path | Iterable[Record],
    *,
    scheduler: Scheduler | None = None,
    oracle: Oracle | None = None,
    space: Any = None,
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
    - parking: a launch goes on where it was parked only if it was, and is still there; no more are parked than may be, and
      none that holds a GPU.
    - rules: the rules of `space` allow the values of every trial. Only where it is given.
    - replay: told to a fresh machine, the records lead to themselves, to a sound machine, and to the same trials.
    - decisions: told the same again, `scheduler` and `oracle` decide the same. Only where they are given.
    - acknowledged: every report that a trial got an answer to is in the history.

    Args:
        history: a search's directory, or its records (of a `SimulatedSearch`).
        scheduler, oracle: fresh ones, made as those of the search; used up.
        space: what the search was given as its own. Needed with `oracle`, where the space has rules or computed values: their
            functions are in no journal.
        shared: whether another search may have enlarged the executor, of which this one was not told: then any number may run.
        acknowledged: (trial, launch, step) of reports after which `trial.report()` is known to have returned.

    Raises:
        HistoryError: (an AssertionError) names the first rule that does not hold, and the record.
        ConfigurationError: `space` is not that of the search, or is needed.
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
    _check_plugins(records, scheduler, oracle, space)


def _check_plugins(records: list[Record], scheduler: Scheduler | None, oracle: Oracle | None, space: Any) -> None:
    declared = declared_space(records, space, oracle)
    folded, found = check_replay(records, scheduler)
    if declared is not None:
        check_rules(records, declared)
        if oracle is not None:
            check_oracle(folded, found, records, declared, oracle)
