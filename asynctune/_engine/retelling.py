"""The trials of a search from its records alone, for those who only look: no machine, no plugin, nothing that could
disagree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from attrs import frozen

from asynctune._engine.record import Record
from asynctune._machine.stimuli import Opened, Settings
from asynctune._machine.trial import Trial
from asynctune.events import (
    AttemptFailed,
    CheckpointDropped,
    CheckpointGone,
    CheckpointSaved,
    Exploited,
    ExploitSkipped,
    GaveUp,
    Happening,
    LawEvent,
    ParametersUsed,
    ParkedGone,
    Paused,
    Reallocated,
    SearchEnded,
    SearchOpened,
    SpaceGrew,
    TrialAdded,
)
from asynctune.failure import Failure
from asynctune.records import CheckpointKey, LaunchNumber, TrialId, TrialView

__all__ = ["FailedLaunch", "Retold", "retold", "to_go_on_from"]

_OfTrial: TypeAlias = (
    LawEvent | ParametersUsed | CheckpointSaved | CheckpointDropped | CheckpointGone | Exploited | ExploitSkipped | Reallocated
)


@frozen
class FailedLaunch:
    """A launch that failed, or was lost.

    Args:
        at: search time, in seconds.
        attempt, launch: which it was.
        failure: why; of the kind LOST if it was nobody's fault.
    """

    at: float
    attempt: int
    launch: LaunchNumber
    failure: Failure


@frozen
class Retold:
    """What the records say.

    Args:
        settings: of the last opening; None when nothing is recorded.
        trials: as they stood at the last record.
        ended: how the search ended, if it did and was not opened again.
        failed: the launches of each trial that failed or were lost, in order; of the trials that have any.
        checkpoints: those that an unfinished trial can go on from, the oldest first; of the trials that have any.
    """

    settings: Settings | None
    trials: list[TrialView]
    ended: SearchEnded | None
    failed: Mapping[TrialId, Sequence[FailedLaunch]]
    checkpoints: Mapping[TrialId, Sequence[CheckpointKey]]


def retold(records: Iterable[Record]) -> Retold:
    """Apply what happened, and nothing else."""
    settings: Settings | None = None
    ended: SearchEnded | None = None
    trials = dict[TrialId, Trial]()
    failed = dict[TrialId, list[FailedLaunch]]()
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
                    trials[number] = Trial(number, values, at, happening.parent, happening.budget)
                case SpaceGrew() | ParkedGone():
                    pass
                case _:
                    trial = trials[happening.trial]
                    if (failure := _failure(happening)) is not None:
                        failed.setdefault(trial.id, []).append(FailedLaunch(at, trial.attempt, trial.launches, failure))
                    _befall(trial, happening, at)
                    if settings is not None:
                        trial.prune(settings.checkpoints)
    declared = settings.declared if settings is not None else frozenset()
    checkpoints = {each.id: keys for each in trials.values() if not each.state.ended and (keys := to_go_on_from(each, trials))}
    return Retold(settings, [trial.view(declared) for trial in trials.values()], ended, failed, checkpoints)


def _befall(trial: Trial, happening: _OfTrial, at: float) -> None:
    match happening:
        case ParametersUsed(values=values):
            trial.use(values)
        case CheckpointGone(checkpoint=key):
            trial.forget(key)
        case CheckpointSaved(checkpoint=key):
            trial.saved(key)
        case CheckpointDropped(checkpoint=key):
            trial.drop(key)
        case Exploited():
            trial.will_exploit(happening)
        case Reallocated(resources=resources):
            trial.reallocate(resources)
        case ExploitSkipped():
            pass
        case _:
            trial.apply(happening, at)


def to_go_on_from(trial: Trial, trials: Mapping[TrialId, Trial]) -> Sequence[CheckpointKey]:
    """The recorded checkpoints that an unfinished trial could go on from, its own or those of other trials. It goes on from the
    last of them that is there."""
    inherited = [] if trial.parent is None else trials[trial.parent].checkpoints
    became = [] if trial.origin is None else [trial.origin]
    becomes = [] if trial.exploit is None else [trial.exploit.checkpoint]
    return [*inherited, *became, *trial.checkpoints, *becomes]


def _failure(event: Happening) -> Failure | None:
    """Why a launch has failed by this event, or was lost."""
    return event.failure if isinstance(event, AttemptFailed | GaveUp | Paused) else None
