"""Told again, a search's records lead to themselves; and what is raised where they do not, or break another rule."""

from __future__ import annotations

from typing import Literal, TypeAlias

from asynctune._engine.caller import Caller, replay
from asynctune._engine.opening import Folded, fold, history
from asynctune._engine.record import Record
from asynctune._engine.retelling import retold
from asynctune._machine.machine import Machine
from asynctune._machine.stimuli import Opened
from asynctune.errors import JournalError, PluginError
from asynctune.oracles.base import Oracle
from asynctune.records import TrialView
from asynctune.schedulers.base import Scheduler
from asynctune.schedulers.fifo import FIFO
from asynctune.space import Space

__all__ = ["HistoryError", "HistoryRule", "check_oracle", "check_replay"]

HistoryRule: TypeAlias = Literal[
    "order",
    "openings",
    "law",
    "ends",
    "attempts",
    "launches",
    "fencing",
    "steps",
    "checkpoints",
    "parents",
    "budgets",
    "slots",
    "parking",
    "replay",
    "decisions",
    "acknowledged",
]
"""What a history can break; `check_history` says what each asks for."""


class HistoryError(AssertionError):
    """A history that cannot have been.

    Args:
        rule: which rule it breaks, see `check_history`.
        seq: the number of the first record that does; None when it is not the doing of one.
        message: what is wrong.
    """

    def __init__(self, rule: HistoryRule, seq: int | None, message: str) -> None:
        super().__init__(f"{rule}: {message}" + (f" (record {seq})" if seq is not None else ""))
        self.rule = rule
        self.seq = seq


def check_replay(records: list[Record], scheduler: Scheduler | None) -> tuple[Folded, Space]:
    """Tell the records to a fresh machine; what they come to, and the space that is known then.

    Raises:
        HistoryError: they do not lead to themselves.
    """
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


def check_oracle(folded: Folded, space: Space, records: list[Record], oracle: Oracle) -> None:
    """See that a fresh oracle proposes what was recorded.

    Raises:
        HistoryError: it does not.
    """
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
