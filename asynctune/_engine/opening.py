"""Opening a search: what its journal says is told to the machine again, and what was asked for is held against it.

State is the fold of the records: the recorded answers win over what today's plugins would say.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from attrs import define, evolve, field

from asynctune._engine.caller import Answered, History, OracleCall
from asynctune._engine.record import Record, pack
from asynctune._engine.retelling import to_go_on_from
from asynctune._engine.tail import end_of_log
from asynctune._machine.instructions import Instruction
from asynctune._machine.machine import Decision, Machine
from asynctune._machine.stimuli import Opened, Settings, Suggested
from asynctune.checkpoints import CheckpointStore
from asynctune.errors import JournalError, PluginError, ResumeError
from asynctune.records import CheckpointKey
from asynctune.schedulers.base import Scheduler
from asynctune.space import Space
from asynctune.stoppers import Stopper

__all__ = ["Folded", "check_settings", "fold", "fresh", "history", "missing", "referenced"]

_logger = logging.getLogger("asynctune.search")


@define
class Folded:
    """What the records came to.

    Args:
        seq: the last record's number. at: its search time.
        calls: what the oracle was called with, in order. answers: what it said, by ask.
    """

    seq: int = 0
    at: float = 0.0
    calls: list[OracleCall] = field(factory=list)
    answers: dict[int, Answered] = field(factory=dict)


def fresh(scheduler: Scheduler, stoppers: Sequence[Stopper], directory: Path, space: Space) -> Machine:
    """A machine that knows nothing yet, of the search in `directory`, whose logs it can have read, and of its declared space,
    whose functions it can have called."""
    machine = Machine(scheduler, stoppers)
    machine.consult.space = space
    machine.consult.log = partial(end_of_log, directory)
    return machine


def fold(machine: Machine, records: Iterable[Record]) -> Folded:
    """Tell the machine everything again.

    Raises:
        JournalError: what follows from a record is not what it says, because another version of the law wrote it.
    """
    folded = Folded()
    for record in records:
        said = record.stimulus
        if isinstance(said, Opened) and machine.opened and said.settings.oracle != machine.settings.oracle:
            # Another oracle took over. It was told what had come of the trials, and was not asked what had been answered.
            folded.answers = {number: evolve(answer, foreign=True) for number, answer in folded.answers.items()}
        folded.calls += [i for i in _told(machine, record) if isinstance(i, OracleCall)]
        if isinstance(said, Suggested):
            folded.answers[said.ask] = Answered(said.ask, said.suggestion, said.state)
        folded.seq, folded.at = record.seq, said.at
    return folded


def _told(machine: Machine, record: Record) -> Sequence[Instruction]:
    try:
        decision = machine.handle(record.stimulus, record.answers)
    except PluginError:
        raise
    except Exception as error:  # a record that this law would not have made can lead anywhere
        raise _foreign(record) from error
    if not _follows(decision, record):
        raise _foreign(record)
    return decision.instructions


def _foreign(record: Record) -> JournalError:
    message = f"record {record.seq} ({type(record.stimulus).__name__}) does not follow by the law of this version"
    return JournalError(f"{message}: open the search with the version of asynctune that wrote it")


def _follows(decision: Decision, record: Record) -> bool:
    if decision.void:
        return False
    # NaN is not equal to itself, but its bytes are.
    return decision.happened == record.happened or pack(evolve(record, happened=decision.happened)) == pack(record)


def referenced(machine: Machine) -> set[CheckpointKey]:
    """The checkpoints that the journal knows of, and those that are held for trials which go on from them; any other is left
    over from a launch that was cut short."""
    return {key for trial in machine.book.trials.values() for key in trial.checkpoints} | machine.pins.held.keys()


def missing(machine: Machine, store: CheckpointStore) -> tuple[CheckpointKey, ...]:
    """The recorded checkpoints that unfinished trials could go on from, theirs or those of other trials, and that are not in
    the store: somebody removed them, or a repair has gone back to before they were deleted. Each trial that has to go on from
    less is warned of."""
    found: dict[CheckpointKey, None] = {}
    for trial in machine.book.trials.values():
        if trial.state.ended:
            continue
        recorded = to_go_on_from(trial, machine.book.trials)
        gone = [key for key in recorded if not store.exists(key)]
        if gone and gone[-1] == recorded[-1]:
            there = [key for key in recorded if key not in gone]
            how = f"it goes on from that of step {there[-1].step}" if there else "it begins anew"
            _logger.warning("trial %s was to go on from %s, which is gone: %s", trial.id, recorded[-1], how)
        found.update(dict.fromkeys(gone))
    return tuple(found)


def history(folded: Folded, settings: Settings, declared: Space, found: Space, *, adopt: bool = False) -> History:
    """What the oracle is told of its past, in a search that is opened with these settings; its space was `declared`, and so
    much of it was `found` by now."""
    tuned = None if settings.new_entries == "tune" else frozenset({**settings.space, **found})
    return History(folded.calls, folded.answers, settings.objective, settings.seed, adopt, declared, tuned)


def check_settings(recorded: Settings, asked: Settings, *, adopt: bool) -> None:
    """Whether the search that is recorded can go on as it is asked for now.

    Raises:
        ResumeError: it cannot; names what differs, and what can be done.
    """
    if recorded.objective != asked.objective:
        message = f"the recorded objective is {recorded.objective}, and {asked.objective} was asked for"
        raise ResumeError(f"{message}: scores under different objectives cannot be mixed. Use another directory.")
    if dict(recorded.space) != dict(asked.space):
        raise ResumeError(f"the recorded space is another one: {_difference(recorded, asked)}. Use another directory.")
    for what, before, now in (
        ("what is derived", dict(recorded.derived), dict(asked.derived)),
        ("what is forbidden", list(recorded.forbidden), list(asked.forbidden)),
        ("what must be feasible", list(recorded.feasible), list(asked.feasible)),
    ):
        if before != now:
            message = f"the recorded space is another one: {what} was {before or 'nothing'} and is {now or 'nothing'}"
            raise ResumeError(f"{message}. Use another directory.")
    for what, old, new in (
        ("oracle", recorded.oracle, asked.oracle),
        ("scheduler", recorded.scheduler, asked.scheduler),
    ):
        if old != new and not adopt:
            message = f"the recorded {what} is {old}, and {new} was asked for"
            raise ResumeError(f'{message}. resume="adopt" feeds the recorded history to the new one and goes on with it.')
    if recorded.seed != asked.seed:
        raise ResumeError(f"the recorded seed is {recorded.seed}, and {asked.seed} was asked for. Leave seed= out, or use it.")


def _difference(recorded: Settings, asked: Settings) -> str:
    old, new = Space(recorded.space), Space(asked.space)
    parts = [f"{name!r} is gone" for name in old if name not in new]
    parts += [f"{name!r} is new" for name in new if name not in old]
    parts += [
        f"{name!r} was {old[name].describe()} and is {new[name].describe()}"
        for name in old
        if name in new and old[name] != new[name]
    ]
    return "; ".join(parts) or "the order of its parameters changed"
