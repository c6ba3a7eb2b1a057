"""What a scheduler's calls cost, counted and not timed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

from asynctune.objective import Goal
from asynctune.records import TrialId, Verdict
from asynctune.schedulers.base import Scheduler
from asynctune.testing.scheduler_rehearsal import SchedulerRehearsal

__all__ = ["CountingRehearsal"]


class _Compared(float):
    """A number whose comparisons are Python's, and so can be counted where C code (a sort, a heap) makes them."""

    def __lt__(self, other: float) -> bool:
        return float(self) < float(other)

    def __le__(self, other: float) -> bool:
        return float(self) <= float(other)

    def __gt__(self, other: float) -> bool:
        return float(self) > float(other)

    def __ge__(self, other: float) -> bool:
        return float(self) >= float(other)

    def __neg__(self) -> _Compared:
        return _Compared(-float(self))

    def __abs__(self) -> _Compared:
        return _Compared(abs(float(self)))


class CountingRehearsal(SchedulerRehearsal):
    """A rehearsal that counts the instructions of each call while the number of trials is in one of the `windows`.

    It records no calls, and what is reported in it are numbers whose comparisons count.
    """

    def __init__(self, scheduler: Scheduler, objective: Goal, *, windows: Sequence[tuple[int, int]]) -> None:
        self._windows = windows
        self._counts: list[list[int]] = [[] for _ in windows]
        super().__init__(scheduler, objective, recording=False)

    def report(self, trial: TrialId, step: int, value: float, **others: float) -> Verdict:
        """See `SchedulerRehearsal.report`."""
        return super().report(trial, step, _Compared(value), **others)

    def means(self) -> list[float]:
        """How many instructions a call took, on average, by window."""
        return [sum(counts) / max(1, len(counts)) for counts in self._counts]

    def _call(self, hook: str, *arguments: Any) -> Any:
        for window, (low, high) in enumerate(self._windows):
            if low <= len(self.trials) <= high:
                answer, count = _counted(lambda: super(CountingRehearsal, self)._call(hook, *arguments))
                self._counts[window].append(count)
                return answer
        return super()._call(hook, *arguments)


def _counted(call: Callable[[], Any]) -> tuple[Any, int]:
    """What a call answers, and how many instructions it took."""
    count = 0

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        return call(), count
    finally:
        sys.settrace(before)
