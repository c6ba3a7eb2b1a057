"""Trials, of which those that are over can be kept as a few bytes.

A search of a million trials has few that move. One that was let go is made again from its bytes whenever somebody looks at it,
and what is done to that copy is kept only where it is said (`keep`): little happens to such a trial any more. One with more to
it than numbers and texts (a failure) stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import attrgetter
from typing import Any

import msgpack
from attrs import fields

from asynctune._machine.trial import Trial
from asynctune.frozen import FrozenDict
from asynctune.records import CheckpointKey, Report, State, TrialId, Value

__all__ = ["Trials"]

# What is packed apart, because objects are large and what they say is not.
_APART = ("id", "state", "proposed", "used", "reports", "checkpoints")
_PLAIN = tuple(each.name for each in fields(Trial) if each.init and each.name not in _APART)
_plain = attrgetter(*_PLAIN)
_NONE: FrozenDict[str, Value] = FrozenDict()  # what an ended trial still proposes


class Trials(Mapping[TrialId, Trial]):
    """The trials of a search by their ids, in the order in which they were added."""

    def __init__(self) -> None:
        self._trials: dict[TrialId, Trial | bytes] = {}

    def __getitem__(self, trial: TrialId) -> Trial:
        found = self._trials[trial]
        return _unpacked(trial, found) if isinstance(found, bytes) else found

    def get(self, trial: Any, default: Any = None) -> Any:
        """The trial, or `default`."""
        found = self._trials.get(trial, default)
        return found if type(found) is not bytes else _unpacked(trial, found)

    def __contains__(self, trial: object) -> bool:
        return trial in self._trials

    def __iter__(self) -> Iterator[TrialId]:
        return iter(self._trials)

    def __len__(self) -> int:
        return len(self._trials)

    def add(self, trial: Trial) -> None:
        """A new trial."""
        self._trials[trial.id] = trial

    def keep(self, trial: Trial) -> None:
        """It is now as it is here, also if it was let go before."""
        if type(self._trials[trial.id]) is bytes:
            self.let_go(trial)

    def let_go(self, trial: Trial) -> None:
        """Nothing more happens to this one."""
        packed = _packed(trial)
        if packed is not None:
            self._trials[trial.id] = packed


def _packed(trial: Trial) -> bytes | None:
    reports = [_report(report) for report in trial.reports]
    checkpoints = [(key.step, key.launch) for key in trial.checkpoints]
    try:
        packed: bytes = msgpack.packb((trial.state.value, trial.used, reports, checkpoints, _plain(trial)))
    except (TypeError, ValueError, OverflowError):  # an object, text that is none, an integer beyond 64 bits
        return None
    return packed


def _report(report: Report) -> tuple[Any, ...]:
    key = report.checkpoint
    same = key is not None and key.step == report.step and key.launch == report.launch
    return report.step, report.at, report.launch, same, *report.metrics, *report.metrics.values()


def _unpacked(number: TrialId, packed: bytes) -> Trial:
    state, used, reports, checkpoints, plain = msgpack.unpackb(packed, use_list=False)
    trial = Trial(id=number, proposed=_NONE, **dict(zip(_PLAIN, plain, strict=True)))
    trial.state, trial.used = State(state), FrozenDict(used)
    trial.reports = [_read(number, *report) for report in reports]
    trial.checkpoints = [CheckpointKey(number, step, launch) for step, launch in checkpoints]
    return trial


def _read(trial: TrialId, step: int, at: float, launch: int, saved: bool, *metrics: Any) -> Report:
    half = len(metrics) // 2
    values = FrozenDict(zip(metrics[:half], metrics[half:], strict=True))
    return Report(step, values, at, launch, CheckpointKey(trial, step, launch) if saved else None)
