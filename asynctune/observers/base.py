"""What an observer is told, and when. Whatever it does with that, it cannot hurt the search."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from asynctune.events import Event
from asynctune.objective import Objective
from asynctune.records import TrialId, TrialView
from asynctune.space.conditions import Parameter

__all__ = ["Observer", "Trials", "Watched"]


class Trials(Mapping[TrialId, TrialView]):
    """Every trial by its id, as it stands when it is asked for. Another thread goes on writing it; reading it is safe."""

    def __init__(self, trials: dict[TrialId, TrialView]) -> None:
        self._trials = trials

    def __getitem__(self, trial: TrialId) -> TrialView:
        return self._trials[trial]

    def __iter__(self) -> Iterator[TrialId]:
        return iter(list(self._trials))  # a list is made in one step, so no trial is added half-way

    def __len__(self) -> int:
        return len(self._trials)

    def __repr__(self) -> str:
        return f"<{len(self)} trials>"


@frozen(kw_only=True)
class Watched:
    """The search that an observer watches, at one moment.

    Args:
        objective: what is wanted.
        space: the parameters, by flat name, that were known when the search was opened; `SpaceGrew` tells of those to come.
        directory: where its logs and checkpoints are.
        max_trials: how many trials may be proposed; None for no limit.
        workers: how many trials can run at once.
        trials: every trial by its id. They stand as they are now, which may be a little ahead of the events.
        now: search time, in seconds.
        resumed: whether the search was there before this opening.
        event: gives the event of a number, or None when there is none so far. It may block: it may have to read the journal.
    """

    objective: Objective
    space: Mapping[str, Parameter]
    directory: Path
    max_trials: int | None
    workers: int
    trials: Mapping[TrialId, TrialView]
    now: float
    resumed: bool
    event: Callable[[int], Event | None]

    def has(self, event: Mapping[str, Any]) -> bool:
        """Whether this, as `Event.to_dict` has it, is an event of this search: not of another one, nor of one that it has
        overwritten. So an observer knows whether what it finds is its own. It may block, as `event` may.

        Raises:
            StorageError: the journal cannot be read.
        """
        number = event.get("seq")
        found = self.event(number) if type(number) is int else None
        return found is not None and found.to_dict() == event


class Observer(ABC):
    """Listens to a search: every event once, in order.

    Its methods are plain functions, called one at a time, in a thread of its own, so they may block: the search does not wait
    for them. It may have side effects. What it raises is logged once (by `asynctune.observers`, with its name), and the same
    events are given to it again; after three failures in a row it is cut off. The search goes on.

    When the search is over, it gets the events that are left, and then `on_end`, and the search waits for that, 10 seconds at
    most; one that has not come back by then is left behind, with its thread. Use one object for each search: it is not copied.

    Attributes:
        interval: seconds, at least, between two calls of `on_events`: a fast search costs few calls with many events each.
        idle: seconds after which `on_events` is called with no events, when nothing happens; None for never.
    """

    interval: float = 0.1
    idle: float | None = None

    def check(self, search: Watched) -> None:
        """The search is about to be opened: nothing of it was started, and nothing that `overwrite=True` replaces was removed.

        The one place where an observer can say no: a file that is somebody else's, a place that cannot be written. It changes
        nothing and opens nothing, since the search may never begin; the search waits for it.

        Raises:
            ConfigurationError: it cannot do its work; the search is not opened, and raises this. Anything else that is raised
                here is logged, as it is everywhere.
        """

    def on_start(self, search: Watched) -> int | None:
        """The search was opened.

        Returns:
            The number of the first event that is wanted (1 for all there are, n + 1 to go on behind event n), or None for what
            comes from this opening on.
        """
        return None

    @abstractmethod
    def on_events(self, events: Sequence[Event], search: Watched) -> object:
        """These happened, in this order. What is returned does not matter."""

    def on_end(self, search: Watched) -> None:
        """Nothing more will come: close what was opened. Called once, after everything else: also when it was cut off, and when
        `on_start` raised, which may have opened only a part of it.
        """
