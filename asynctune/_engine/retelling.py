"""The trials of a search from its records alone, for those who only look: no machine, no plugin, nothing that could
disagree."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from asynctune._engine.record import Record
from asynctune._machine.stimuli import Opened, Settings
from asynctune._machine.trial import Trial
from asynctune.events import ParametersUsed, SearchEnded, SearchOpened, SpaceGrew, TrialAdded
from asynctune.records import TrialId, TrialView

__all__ = ["Retold", "retold"]


@frozen
class Retold:
    """What the records say.

    Args:
        settings: of the last opening; None when nothing is recorded.
        trials: as they stood at the last record.
        ended: how the search ended, if it did and was not opened again.
    """

    settings: Settings | None
    trials: list[TrialView]
    ended: SearchEnded | None


def retold(records: Iterable[Record]) -> Retold:
    """Apply what happened, and nothing else."""
    settings: Settings | None = None
    ended: SearchEnded | None = None
    trials = dict[TrialId, Trial]()
    for record in records:
        at = record.stimulus.at
        if isinstance(record.stimulus, Opened):
            settings = record.stimulus.settings
        for happening in record.happened:
            match happening:
                case SearchOpened():
                    ended = None
                case SearchEnded():
                    ended = happening
                case TrialAdded(trial=number, values=values):
                    trials[number] = Trial(number, 0, values, at)
                case ParametersUsed(trial=number, values=values):
                    trials[number].use(values)
                case SpaceGrew():
                    pass
                case _:
                    trials[happening.trial].apply(happening, at)
    declared = frozenset(settings.space if settings is not None else ())
    return Retold(settings, [trial.view(declared) for trial in trials.values()], ended)
