"""The display: a live view on a terminal or in a notebook, lines anywhere else, and a table at the end."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any, Literal, Protocol, TextIO

from asynctune.errors import ConfigurationError
from asynctune.events import Event
from asynctune.observers.base import Observer, Watched
from asynctune.observers.lines import KerasLines, Lines, Quiet
from asynctune.observers.tally import Tally

__all__ = ["Display"]


class _Look(Protocol):
    """One way to show a search. Each of its methods raises OSError or ValueError when nobody can see it any more."""

    def begin(self, tally: Tally, search: Watched) -> None: ...

    def show(self, tally: Tally, events: Sequence[Event], search: Watched) -> None: ...

    def end(self, tally: Tally, search: Watched) -> None: ...

    def close(self) -> None: ...


class Display(Observer):
    """Shows a search: what `run()` shows, and `display=True`.

    On a terminal, and in a notebook, a view that is drawn again in place, at most twice a second: progress, the best trial
    so far, what runs, what failed. Anywhere else, a line for every trial that ends. At the end a table. A stream that is
    closed, full, or read no more ends the display, and nothing else.

    Args:
        verbose: 0 shows nothing; 1 the table at the end; 2 what goes on, too; 3 every report, too, as lines.
        style: "tune", or "keras" for lines as KerasTuner writes them.
        stream: where to; standard output, if None.

    Raises:
        ConfigurationError: for another `verbose` or `style`, or a stream that cannot be written.
    """

    interval = 0.5

    def __init__(self, *, verbose: int = 2, style: Literal["tune", "keras"] = "tune", stream: TextIO | None = None) -> None:
        if isinstance(verbose, bool) or verbose not in (0, 1, 2, 3):
            raise ConfigurationError(f"Display(verbose=...) takes 0, 1, 2 or 3, not {verbose!r}")
        if style not in ("tune", "keras"):
            raise ConfigurationError(f'Display(style=...) takes "tune" or "keras", not {style!r}')
        if stream is not None and not all(callable(getattr(stream, each, None)) for each in ("write", "flush", "isatty")):
            raise ConfigurationError(f"Display(stream=...) takes an open text file, not {stream!r}")
        if not _can_be_written(stream):
            raise ConfigurationError(f"Display(stream=...) takes a file that is open for writing, and {stream!r} is not")
        self._verbose, self._style, self._stream = verbose, style, stream
        self._look: _Look | None = None
        self._tally: Tally | None = None

    def on_start(self, search: Watched) -> int | None:
        """Choose how to show it, and begin."""
        tally = self._tally = Tally.begun(search)
        with self._watched():
            self._look = self._chosen()
            if self._look is not None:
                self._look.begin(tally, search)
        return None

    def on_events(self, events: Sequence[Event], search: Watched) -> None:
        """Show what happened; with no events, that time goes by."""
        if self._look is not None and self._tally is not None:
            with self._watched():
                self._look.show(self._tally, events, search)

    def on_end(self, search: Watched) -> None:
        """Show how it ended."""
        if self._look is not None and self._tally is not None:
            with self._watched():
                self._look.end(self._tally, search)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Whoever looked may be gone: a broken pipe, a full disk, a closed file. There is nothing left to do then."""
        try:
            yield
        except (OSError, ValueError):
            look, self._look, self.idle = self._look, None, None
            if look is not None:
                with suppress(OSError, ValueError):
                    look.close()

    def _chosen(self) -> _Look | None:
        stream = self._stream if self._stream is not None else sys.stdout
        if self._verbose == 0:
            return None
        if self._verbose == 2 and self._style == "tune":
            drawn = self._drawn(stream)
            if drawn is not None:
                self.idle = 1.0  # the clock goes on
                return drawn
        if stream is None:  # a daemon has no standard output
            return None
        if self._verbose == 1:
            return Quiet(stream)
        return (KerasLines if self._style == "keras" else Lines)(stream, reports=self._verbose == 3)

    def _drawn(self, stream: TextIO | None) -> _Look | None:
        """What draws, where that can be. Rich is imported for it alone: it takes longer than a small search does."""
        look: _Look | None = None
        if self._stream is None and _in_notebook():
            show = import_module("IPython.display").display
            look = import_module("asynctune.observers.picture").Notebook(show)
        elif stream is not None and stream.isatty():
            picture = import_module("asynctune.observers.picture")
            look = picture.Screen(stream) if picture.can_draw(stream) else None
        return look


def _can_be_written(stream: TextIO | None) -> bool:
    ask = getattr(stream, "writable", None)  # many a stream has no more than it needs to be printed to
    with suppress(ValueError):  # it was closed: that ends a display whenever it happens
        return not callable(ask) or bool(ask())
    return True


def _in_notebook() -> bool:
    """Whether this process is a notebook's kernel. IPython that nobody has imported is not asked."""
    ipython: Any = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None
