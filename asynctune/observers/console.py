"""Trials as text: the table, and the pieces that every display and the command line are made of."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import TextIO

from asynctune.failure import Failure
from asynctune.objective import Goal
from asynctune.records import State, TrialId, TrialView

__all__ = ["clock", "columns_of", "culprit", "lasted", "legible", "scored", "shown", "shown_values", "spark", "table"]

_WIDTH = 60  # characters of a message that fit on a line with everything else
_BARS = "▁▂▃▄▅▆▇█"
_GAP = "  "  # between columns


def columns_of(stream: TextIO | None) -> int | None:
    """How wide the terminal is that `stream` writes to; None if it is none, or does not say."""
    try:
        return (os.get_terminal_size(stream.fileno()).columns or None) if stream is not None and stream.isatty() else None
    except (OSError, ValueError):
        return None


def table(
    trials: Iterable[TrialView],
    objective: Goal,
    *,
    live: bool = True,
    most: int | None = None,
    width: int | None = None,
) -> str:
    """The trials as a table of text: those with a score first, best first.

    Args:
        live: whether somebody runs the search; a trial that is RUNNING in a search that nobody runs was interrupted.
        most: how many rows there may be; a line says how many are left out.
        width: how many characters a row may have, None for any number: values and remarks are cut to fit.
    """

    def rank(trial: TrialView) -> tuple[float, TrialId]:
        counts = trial.state is State.COMPLETED and not trial.violates
        return (objective.loss(trial.score) if counts and trial.score is not None else math.inf, trial.id)

    ranked = sorted(trials, key=rank)
    head = ("trial", "state", shown(objective.name), "step", "attempt", "values", "remark")
    rows = [head, *(_row(trial, live=live) for trial in ranked[:most])]
    lines = _columns(rows if width is None else _cut(rows, width))
    left_out = [] if most is None or len(ranked) <= most else [f"... and {len(ranked) - most} more trials"]
    return "\n".join(line[:width] for line in [*lines, *left_out])


def _row(trial: TrialView, *, live: bool) -> tuple[str, ...]:
    return (
        str(trial.id),
        "interrupted" if trial.state is State.RUNNING and not live else trial.state.value.lower(),
        scored(trial.score, trial.scores) + (" !" if trial.violates else ""),
        str(trial.step or ""),
        str(trial.attempt),
        shown_values(trial.values),
        shown(str(trial.failure) if trial.failure and trial.state is not State.COMPLETED else "; ".join(_remarks(trial))),
    )


def _remarks(trial: TrialView) -> Iterator[str]:
    if trial.violates:
        yield f"breaks the constraint on {', '.join(trial.violates)}"
    if trial.stop_reason:
        yield trial.stop_reason


def scored(score: float | None, scores: Sequence[float] = ()) -> str:
    """The score, or the scores by each objective where they do not come to one; "" where there is none."""
    return ", ".join(f"{each:.6g}" for each in (scores if score is None else (score,)))


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = _widths(rows)
    return [_GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def _cut(rows: Sequence[Sequence[str]], width: int) -> list[tuple[str, ...]]:
    """The last two columns, values and remarks, share what the others leave: half each, or what the other one does not need."""
    *others, values, remarks = _widths(rows)
    left = max(0, width - sum(others) - len(_GAP) * (len(others) + 1))
    remarks = min(remarks, max(left // 2, left - values))
    return [(*rest, shown(value, left - remarks), shown(remark, remarks)) for *rest, value, remark in rows]


def shown_values(values: Mapping[str, object]) -> str:
    """Values on one line."""
    return _printable(", ".join(f"{k}={v:.5g}" if isinstance(v, float) else f"{k}={v}" for k, v in values.items()))


def shown(text: str, width: int = _WIDTH) -> str:
    """The first line of `text`, cut to `width`."""
    line = _printable(text.strip().splitlines()[0]) if text.strip() else ""
    return line if len(line) <= width else line[: max(0, width - 3)] + "..."[:width]


def legible(text: str) -> str:
    """Several lines, without what a terminal would obey."""
    return "\n".join(_printable(line.expandtabs()) for line in text.splitlines())


def _printable(text: str) -> str:
    # What a trial says may hold anything, and a terminal obeys some of it.
    return text if text.isprintable() else "".join(each if each.isprintable() else "?" for each in text)


def clock(at: float) -> str:
    """Seconds as 01:02:03."""
    return f"{int(at) // 3600:02}:{int(at) // 60 % 60:02}:{int(at) % 60:02}"


def lasted(seconds: float) -> str:
    """Seconds as 01h 02m 03s, KerasTuner's way."""
    return f"{int(seconds) // 3600:02}h {int(seconds) // 60 % 60:02}m {int(seconds) % 60:02}s"


def culprit(failure: Failure) -> str:
    """What failed, on one line: kind and message, and the line of the trial's own code where it happened, if that is known."""
    message = shown(str(failure), 200)
    lines = (failure.traceback or "").splitlines()
    places = [number for number, line in enumerate(lines) if line.startswith('  File "')]
    own = [number for number in places if "/site-packages/" not in lines[number]] or places
    if not own:
        return message
    path, _, rest = lines[own[-1]].strip().removeprefix('File "').partition('", line ')
    where = f"{PurePath(path).name}:{rest.partition(',')[0]}"
    code = lines[own[-1] + 1] if own[-1] + 1 < len(lines) and lines[own[-1] + 1].startswith("    ") else ""
    return f"{message}  ({shown(f'{where}: {code.strip()}' if code else where, 120)})"


def spark(numbers: Sequence[float]) -> str:
    """Numbers as a line of bars, the least the lowest; what is not finite is a blank."""
    finite = [number for number in numbers if math.isfinite(number)]
    if not finite:
        return " " * len(numbers)
    low, span = min(finite), max(finite) - min(finite)

    def bar(number: float) -> str:
        if not math.isfinite(number):
            return " "
        share = (number - low) / span if 0 < span < math.inf else 0.5
        return _BARS[round(share * (len(_BARS) - 1))]

    return "".join(map(bar, numbers))
