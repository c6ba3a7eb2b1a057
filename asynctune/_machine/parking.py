"""Which paused trials keep their processes, and who of them leaves when they are too many, or hold too much."""

from __future__ import annotations

from collections.abc import Collection

from asynctune._machine.stimuli import Settings
from asynctune._machine.trial import Trial
from asynctune.policies import Parking

__all__ = ["can_park", "who_leaves"]

_MiB = 2**20


def can_park(settings: Settings, trial: Trial) -> bool:
    """Whether a trial that waits for an answer may be left waiting. One that has saved this very step loses nothing but the
    time that it takes to make a process, and one with a GPU would keep that from the others."""
    launch = trial.launch
    if launch is None or launch.halted is not None or not settings.parks:
        return False
    return not (trial.resources or settings.resources).gpu and _steps_lost(trial) > 0


def who_leaves(parking: Parking, parked: Collection[Trial]) -> tuple[Trial, str] | None:
    """Who of these has to make room for the others, and why; None if there is room for all.

    It is whoever holds more than all of them may, as there is no room that could be made for it; else the one that loses least.
    """
    if parking.max_trials is not None and len(parked) > parking.max_trials:
        return min(parked, key=_order), f"there is no room for it: Parking(max_trials={parking.max_trials})"
    most = parking.max_memory
    if most is None or sum(map(_memory, parked)) <= most:
        return None
    large = [trial for trial in parked if _memory(trial) > most]
    return min(large or parked, key=_order), f"there is no room for it: Parking(max_memory='{most / _MiB:,.0f} MiB')"


def _order(trial: Trial) -> tuple[int, int]:
    """The one that loses least comes first, and the youngest of several."""
    return _steps_lost(trial), -trial.id


def _steps_lost(trial: Trial) -> int:
    """How many steps are to be run again when its launch is ended."""
    launch, newest = trial.launch, trial.checkpoint
    assert launch is not None
    saved = newest.step if newest is not None and newest.launch == launch.number else launch.start
    return launch.step - saved


def _memory(trial: Trial) -> int:
    assert trial.launch is not None
    return trial.launch.memory
