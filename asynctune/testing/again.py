"""Looks at a history by telling it again: to a fresh machine, to a scheduler, to an oracle, and to the rules of a space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asynctune._engine.caller import Caller, replay
from asynctune._engine.opening import Folded, fold, history
from asynctune._engine.record import Record
from asynctune._engine.retelling import retold
from asynctune._machine.machine import Machine
from asynctune._machine.stimuli import Opened, Settings
from asynctune.errors import ConfigurationError, JournalError, PluginError
from asynctune.events import TrialAdded
from asynctune.oracles.base import Oracle
from asynctune.records import TrialView
from asynctune.schedulers.base import Scheduler
from asynctune.schedulers.fifo import FIFO
from asynctune.space import Space
from asynctune.testing.breach import HistoryError

__all__ = ["check_oracle", "check_replay", "check_rules", "declared_space"]


def declared_space(records: Sequence[Record], given: Any, oracle: Oracle | None) -> Space | None:
    """The space as the search was given it, with the functions that no record holds; None where it never was opened.

    Raises:
        ConfigurationError: `given` is another one; or there is none, and `oracle` needs it.
    """
    opened = [record.stimulus.settings for record in records if isinstance(record.stimulus, Opened)]
    if not opened:
        return None
    settings = opened[-1]
    if given is None:
        if oracle is not None and (settings.derived or settings.forbidden or settings.feasible):
            what = "rules, or values that are computed, by functions that no journal holds"
            raise ConfigurationError(f"check_history(oracle=...): the space of this search has {what}: give space=, too")
        return Space().grow(settings.space)
    space = Space.of(given)
    if dict(space) != dict(settings.space) or space.terms != _terms(settings):
        raise ConfigurationError("check_history(space=...) takes the space that the search was given; this is another one")
    return space


def _terms(settings: Settings) -> dict[str, Any]:
    return {"derived": settings.derived, "forbidden": settings.forbidden, "feasible": settings.feasible}


def check_rules(records: Sequence[Record], space: Space) -> None:
    """Whether the rules of the space allow what was proposed and enqueued."""
    for record in records if space.rules else ():
        for happening in record.happened:
            if isinstance(happening, TrialAdded):
                values = {name: value for name, value in happening.values.items() if name in space}
                objection = space.objection(values)
                if objection is not None:
                    text = f"trial {happening.trial} was given {values}, and {objection}"
                    raise HistoryError("rules", record.seq, text)


def check_replay(records: list[Record], scheduler: Scheduler | None) -> tuple[Folded, Space]:
    """Whether the records lead to themselves; returns what they lead to, and the space that was found."""
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


def check_oracle(folded: Folded, found: Space, records: Sequence[Record], space: Space, oracle: Oracle) -> None:
    """Whether an oracle, told the same again, proposes the same. `space` was declared, and so much of it `found`."""
    settings = next(record.stimulus.settings for record in reversed(records) if isinstance(record.stimulus, Opened))
    caller = Caller(oracle)
    try:
        past = history(folded, settings, space, found)
        caller.begin(past)
        _, divergences = replay(caller, past)
    except PluginError as error:
        raise HistoryError("decisions", None, str(error)) from error
    finally:
        caller.close()
    if divergences:
        raise HistoryError("decisions", None, str(divergences[0]))
