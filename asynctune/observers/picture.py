"""A search as a picture that is drawn again in place: on a terminal by Rich, in a notebook through its display."""

from __future__ import annotations

import html
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from asynctune.events import Event
from asynctune.objective import Goal
from asynctune.observers.base import Watched
from asynctune.observers.console import clock, culprit, shown, shown_values, spark
from asynctune.observers.lines import summary, write
from asynctune.observers.tally import Tally
from asynctune.records import TrialView

__all__ = ["Notebook", "Screen", "can_draw", "picture"]

_ROWS = 12  # running trials that are shown
_POINTS = 24  # of a spark line
_BAR = 40  # characters
_COLUMNS = 100  # of a picture in a notebook


def picture(tally: Tally, search: Watched) -> RenderableType:
    """The search as it stands."""
    return Group(*_parts(tally, search))


def _parts(tally: Tally, search: Watched) -> Iterator[RenderableType]:
    if search.max_trials is not None:
        yield _bar(len(tally.ended), search.max_trials)
    yield Text(_counted(tally, search))
    name = shown(search.objective.name)
    if tally.best is not None:
        trial, score = tally.best
        values = shown_values(search.trials[trial].values)
        yield Text(f"best {name} {score:.6g} in trial {trial}: {values}", style="bold green", no_wrap=True, overflow="ellipsis")
    if tally.running:
        yield _running(tally, search, name)
    for trial, failure in tally.failures:
        yield Text(f"trial {trial} failed: {culprit(failure)}", style="red", no_wrap=True, overflow="ellipsis")


def _bar(done: int, most: int) -> Text:
    """How far it is. Rich's own bar is told from nothing by its color alone, and may have none."""
    full = min(_BAR, _BAR * done // most)
    style = "bar.finished" if full == _BAR else "bar.complete"
    return Text.assemble(("━" * full, style), ("╌" * (_BAR - full), "bar.back"), no_wrap=True, overflow="crop")


def _counted(tally: Tally, search: Watched) -> str:
    most = "" if search.max_trials is None else f" of {search.max_trials}"
    said = [f"{len(tally.ended)}{most} trials", f"{len(tally.running)} running"]
    if tally.failed:
        said.append(f"{len(tally.failed)} failed")
    said.append(clock(search.now))
    left = tally.left(search)
    if left is not None:
        said.append(f"{clock(left)} left")
    saved, share = tally.saved
    if saved:
        said.append(f"{saved} steps saved by early stopping ({share:.0%})")
    return " · ".join(said)


def _running(tally: Tally, search: Watched, name: str) -> RenderableType:
    rows = Table(box=None, pad_edge=False, header_style="dim")
    for heading, justify in (("trial", "right"), ("step", "right"), (name, "right"), ("", "left"), ("values", "left")):
        rows.add_column(heading, justify=justify, no_wrap=True, overflow="ellipsis")  # type: ignore[arg-type]
    for number in list(tally.running)[:_ROWS]:
        trial = search.trials[number]
        points = _points(trial, search.objective)
        last = f"{points[-1]:.5g}" if points else ""
        cells = (str(number), str(trial.step or ""), last, spark(points), shown_values(trial.values))
        rows.add_row(*map(Text, cells))
    more = len(tally.running) - _ROWS
    return Group(rows, Text(f"... and {more} more")) if more > 0 else rows


def _points(trial: TrialView, objective: Goal) -> list[float]:
    # Of several objectives that do not come to one number, the first.
    shown = objective if objective.has_score else objective.each[0]
    return [value for report in trial.reports[-_POINTS:] if (value := shown.of(report.metrics)) is not None]


class _Terminal(Console):
    def on_broken_pipe(self) -> None:
        # Rich would end the thread, and let standard output be /dev/null for everybody.
        raise BrokenPipeError


def can_draw(stream: TextIO) -> bool:
    """Whether `stream` is a terminal that can be drawn on."""
    return stream.isatty() and not (terminal := Console(file=stream)).is_dumb_terminal and terminal.encoding.startswith("utf")


class Screen:
    """Draws on a terminal. What others write meanwhile appears above the picture."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live = Live(console=_Terminal(file=stream), auto_refresh=False, transient=True)

    def begin(self, tally: Tally, search: Watched) -> None:
        """Draw the first picture."""
        self._live.start()
        self._live.update(picture(tally, search), refresh=True)

    def show(self, tally: Tally, events: Sequence[Event], search: Watched) -> None:
        """Draw it again."""
        tally.hear(events, search)
        self._live.update(picture(tally, search), refresh=True)

    def end(self, tally: Tally, search: Watched) -> None:
        """Take the picture away, and write the table."""
        self.close()
        write(self._stream, summary(tally, search, self._stream))

    def close(self) -> None:
        """Take the picture away, and what stood between the terminal and others."""
        self._live.stop()


class Notebook:
    """Draws in a notebook, in the cell that started the search.

    Args:
        display: IPython's own; gives a handle that can be updated.
    """

    def __init__(self, display: Callable[..., Any]) -> None:
        self._display = display
        self._handle: Any = None

    def begin(self, tally: Tally, search: Watched) -> None:
        """Draw the first picture."""
        self._handle = self._display(self._drawn(picture(tally, search)), raw=True, display_id=True)

    def show(self, tally: Tally, events: Sequence[Event], search: Watched) -> None:
        """Draw it again."""
        tally.hear(events, search)
        self._handle.update(self._drawn(picture(tally, search)), raw=True)

    def end(self, tally: Tally, search: Watched) -> None:
        """Let the table take the picture's place."""
        self._handle.update(self._mime(summary(tally, search)), raw=True)

    def close(self) -> None:
        """The cell stays as it is."""

    def _drawn(self, what: RenderableType) -> Mapping[str, str]:
        text = io.StringIO()
        # As text: left to itself, Rich would see the notebook, and display this by its own means.
        Console(file=text, width=_COLUMNS, force_terminal=False, force_jupyter=False, color_system=None).print(what)
        return self._mime(text.getvalue())

    def _mime(self, text: str) -> Mapping[str, str]:
        return {"text/plain": text, "text/html": f"<pre>{html.escape(text)}</pre>"}
