"""The console: a line for every trial that ends, and a table at the end. Plain text, for people and for log files."""

from __future__ import annotations

import math
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import TextIO

from asynctune.events import AttemptFailed, Event, Finished, GaveUp, Happening, SearchEnded, SearchOpened, Stopped
from asynctune.objective import Objective
from asynctune.records import State, TrialId, TrialView

__all__ = ["Console", "table"]

_WIDTH = 60  # characters of a message that fit on a line with everything else


class Console:
    """Writes what happens in a search, line by line.

    Args:
        objective: of the search.
        trials: looks up the trials as they stand.
        stream: where to; standard output, if None. A stream that is closed ends the writing, and nothing else.
    """

    def __init__(
        self, objective: Objective, trials: Callable[[], Mapping[TrialId, TrialView]], stream: TextIO | None = None
    ) -> None:
        self._objective = objective
        self._trials = trials
        self._stream: TextIO | None = stream if stream is not None else sys.stdout
        self._best: float | None = None

    async def follow(self, events: AsyncIterator[Event]) -> None:
        """Write until there are no more events, or nobody reads what is written."""
        async for event in events:
            for happening in event.happened:
                line = self._line(event.at, happening)
                if line is not None and not self._write(line):
                    return

    def summary(self, reason: str) -> None:
        """Write the table of all trials."""
        self._write(f"\n{table(self._trials().values(), self._objective)}\n{reason}")

    def _write(self, text: str) -> bool:
        if self._stream is None:  # a daemon has no standard output
            return False
        try:
            self._stream.write(f"{text}\n")
            self._stream.flush()
        except (OSError, ValueError):  # a broken pipe, a closed file: the search is worth more than its display
            return False
        return True

    def _line(self, at: float, happening: Happening) -> str | None:
        match happening:
            case SearchOpened(times=times) if times > 1:
                ended = sum(trial.state.ended for trial in self._trials().values())
                return f"resumed: {ended} trials have ended already"
            case Finished(trial=trial, score=score):
                return self._scored(at, trial, score, "")
            case Stopped(trial=trial, score=score):
                return self._scored(at, trial, score, f"  stopped at step {self._trials()[trial].step}")
            case AttemptFailed(trial=trial, failure=failure):
                return f"{_clock(at)}  trial {trial:>3}  failed, will be tried again: {_short(failure.message)}"
            case GaveUp(trial=trial, failure=failure):
                return f"{_clock(at)}  trial {trial:>3}  FAILED: {_short(failure.message)}"
            case SearchEnded(reason=reason, error=error) if error is not None:
                return f"{_clock(at)}  {error}: {_short(reason)}"
        return None

    def _scored(self, at: float, trial: TrialId, score: float | None, remark: str) -> str:
        if score is None:
            return f"{_clock(at)}  trial {trial:>3}  no score{remark}"
        better = self._best is None or self._objective.better(score, self._best)
        self._best = score if better else self._best
        values = _values(self._trials()[trial].values)
        mark = "  <- best so far" if better else ""
        return f"{_clock(at)}  trial {trial:>3}  {self._objective.name} {score:<10.5g} {values}{remark}{mark}"


def table(trials: Iterable[TrialView], objective: Objective, *, live: bool = True) -> str:
    """The trials as a table of text: those with a score first, best first.

    Args:
        live: whether somebody runs the search; a trial that is RUNNING in a search that nobody runs was interrupted.
    """

    def rank(trial: TrialView) -> tuple[float, TrialId]:
        scored = trial.state is State.COMPLETED and trial.score is not None
        return (objective.loss(trial.score) if scored and trial.score is not None else math.inf, trial.id)

    rows = [
        (
            str(trial.id),
            "interrupted" if trial.state is State.RUNNING and not live else trial.state.value.lower(),
            "" if trial.score is None else f"{trial.score:.6g}",
            str(trial.step or ""),
            str(trial.attempt),
            _values(trial.values),
            _short(trial.failure.message if trial.failure and trial.state is not State.COMPLETED else trial.stop_reason or ""),
        )
        for trial in sorted(trials, key=rank)
    ]
    return _columns([("trial", "state", objective.name, "step", "attempt", "values", "remark"), *rows])


def _columns(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def _values(values: Mapping[str, object]) -> str:
    return ", ".join(f"{k}={v:.5g}" if isinstance(v, float) else f"{k}={v}" for k, v in values.items())


def _short(text: str) -> str:
    line = text.strip().splitlines()[0] if text.strip() else ""
    return line if len(line) <= _WIDTH else line[: _WIDTH - 3] + "..."


def _clock(at: float) -> str:
    return f"{int(at) // 3600:02}:{int(at) // 60 % 60:02}:{int(at) % 60:02}"
