"""A search as lines of text, for log files, for pipes, and for people who like to scroll."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TextIO

from asynctune.events import AttemptFailed, CheckpointGone, Event, Finished, GaveUp, Happening, Reported, SearchOpened, Stopped
from asynctune.observers.base import Watched
from asynctune.observers.console import clock, columns_of, culprit, lasted, legible, scored, shown, shown_values, table
from asynctune.observers.tally import Tally
from asynctune.records import State

__all__ = ["KerasLines", "Lines", "Quiet", "summary", "write"]

_MOST = 50  # rows of the last table
_COLUMN = 18  # characters, as in KerasTuner


def write(stream: TextIO, text: str) -> None:
    """Write `text` and a line end, whatever the stream's encoding.

    Raises:
        OSError, ValueError: nobody reads it, or it was closed.
    """
    try:
        stream.write(f"{text}\n")
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        stream.write(text.encode(encoding, "replace").decode(encoding) + "\n")
    stream.flush()


def summary(tally: Tally, search: Watched, stream: TextIO | None = None) -> str:
    """The table of the trials, as wide as the terminal behind `stream` if it is one, what failed and why, and how the search
    ended.
    """
    trials = list(search.trials.values())
    parts = [table(trials, search.objective, live=False, most=_MOST, width=columns_of(stream))]
    failed = [f"trial {t.id} FAILED: {culprit(t.failure)}" for t in trials if t.state is State.FAILED and t.failure is not None]
    if failed:
        parts.append("\n".join(failed[:_MOST]))
    saved, share = tally.saved
    if saved:
        parts.append(f"early stopping saved {saved} steps ({share:.0%})")
    end = tally.end
    # One that was left is no error: it can be gone on with.
    told = "the search was left" if end is None else end.reason
    parts.append(told if end is None or end.error in (None, "SearchError") else f"{end.error}: {told}")
    return "\n" + legible("\n".join(parts))


class Lines:
    """A line for every trial that ends.

    Args:
        stream: where to.
        reports: a line for every report, too.
    """

    def __init__(self, stream: TextIO, *, reports: bool = False) -> None:
        self._stream, self._reports = stream, reports

    def begin(self, tally: Tally, search: Watched) -> None:
        """Nothing is written before something happens."""

    def show(self, tally: Tally, events: Sequence[Event], search: Watched) -> None:
        """Write what happened, all at once."""
        lines = [line for event in events for what in event.happened for line in self._heard(tally, event.at, what, search)]
        if lines:
            write(self._stream, "\n".join(lines))

    def end(self, tally: Tally, search: Watched) -> None:
        """Write the table."""
        write(self._stream, summary(tally, search, self._stream))

    def close(self) -> None:
        """The stream is somebody else's."""

    def _heard(self, tally: Tally, at: float, what: Happening, search: Watched) -> Iterator[str]:
        better = tally.take(what, search)
        match what:
            case SearchOpened(times=times) if times > 1:
                yield f"resumed: {tally.before} trials have ended already"
            case CheckpointGone(trial=trial, checkpoint=key):
                yield f"{clock(at)}  trial {trial:>3}  its checkpoint of step {key.step} is gone"
            case Reported(trial=trial, step=step, metrics=metrics) if self._reports:
                yield f"{clock(at)}  trial {trial:>3}  step {step}: {shown_values(metrics)}"
            case AttemptFailed(trial=trial, failure=failure):
                yield f"{clock(at)}  trial {trial:>3}  failed, will be tried again: {shown(str(failure))}"
            case GaveUp(trial=trial, failure=failure):
                yield f"{clock(at)}  trial {trial:>3}  FAILED: {shown(str(failure))}"
            case Finished() | Stopped():
                yield from self._ended(tally, at, what, search, better=better)

    def _ended(self, tally: Tally, at: float, what: Finished | Stopped, search: Watched, *, better: bool) -> Iterator[str]:
        remark = f"  {_remark(tally, what)}" if isinstance(what, Stopped) else ""
        score = scored(what.score, what.scores)
        if not score:
            yield f"{clock(at)}  trial {what.trial:>3}  no score{remark}"
            return
        values, mark = shown_values(search.trials[what.trial].values), "  <- best so far" if better else ""
        name = shown(search.objective.name)
        broken = f"  breaks the constraint on {', '.join(what.violates)}" if what.violates else ""
        yield f"{clock(at)}  trial {what.trial:>3}  {name} {score:<10} {values}{remark}{broken}{mark}"


class Quiet(Lines):
    """Nothing but the table at the end."""

    def show(self, tally: Tally, events: Sequence[Event], search: Watched) -> None:
        """Write nothing down but in the tally."""
        tally.hear(events, search)


class KerasLines(Lines):
    """What KerasTuner writes: for every trial that ends its value, the best so far, and the hyperparameters of both."""

    def _ended(self, tally: Tally, at: float, what: Finished | Stopped, search: Watched, *, better: bool) -> Iterator[str]:
        view, name = search.trials[what.trial], shown(search.objective.name)
        took = (view.ended if view.ended is not None else at) - (view.started if view.started is not None else at)
        remark = f"  {_remark(tally, what)}" if isinstance(what, Stopped) else ""
        yield f"Trial {what.trial} Complete [{lasted(took)}]{remark}"
        yield f"{name}: {scored(what.score, what.scores) or 'no score'}\n"
        best = search.trials[tally.best[0]] if tally.best is not None else None
        yield f"Best {name} So Far: {'none' if tally.best is None else f'{tally.best[1]:.6g}'}"
        yield f"Total elapsed time: {lasted(at)}\n"
        yield f"{'Value':<{_COLUMN}}|{'Best Value So Far':<{_COLUMN}}|Hyperparameter"
        for parameter, value in view.values.items():
            beside = best.values.get(parameter, "?") if best is not None else "?"
            yield f"{_cell(value):<{_COLUMN}}|{_cell(beside):<{_COLUMN}}|{shown(parameter)}"
        yield ""


def _remark(tally: Tally, what: Stopped) -> str:
    return shown(what.reason) if what.infeasible else f"stopped at step {tally.ended[what.trial]}"


def _cell(value: object) -> str:
    return shown(f"{value:.5g}" if isinstance(value, float) else str(value), _COLUMN)
