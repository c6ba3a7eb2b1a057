"""What an oracle is: the algorithm that proposes values.

An oracle runs off the event loop, one call at a time, in the order of the journal. So its answers are a function of the
journal, and a search that is opened again stands where it stood: the recorded calls are made again and the recorded answers
win. Luck must come from `seeds.derive(seed, ask, ...)`, never from a generator that remembers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Mapping
from typing import Any, ClassVar

from asynctune.messages import FillRule
from asynctune.objective import Goal
from asynctune.oracles.known import Known
from asynctune.records import Report, Suggestion, TrialId, TrialView
from asynctune.space import Space

__all__ = ["Oracle"]


class Oracle(ABC):
    """Proposes the values of trials. Subclass it; `populate_space` is all that must be written.

    What you pass to a search is a recipe: it is copied at the door, and yours is never touched.

    Attributes:
        ahead: how many proposals may be prepared before there is a free slot for them. 0 (the default) asks as late as
            possible, with everything that is known by then. An oracle that does not learn may say more; so may one whose
            proposals take long, if it is better that they lack the last few scores than that workers wait for them: of one that
            learns, there are never as many as there are slots, and so with one slot none.
        learns: whether what becomes of a trial changes what it proposes. One that does not is told late, which costs less.
        apart: whether it runs in a process of its own: for one that computes for long, or needs much memory, and would take the
            interpreter from the search's event loop. It is pickled and sent there; what it prints is in `logs/oracle.log` in
            the search's directory. It has one core's worth of threads, and stands back as the runners do.
        fill: how a parameter that a trial names for the first time gets its value.
        exhaustive: whether it comes to an end by itself in every space.
        repeats: whether it may propose again what was tried, waits or runs, and means it. What any other oracle proposes twice
            is replaced by something new, or, when nothing is left, ends the search.
        several: whether it can propose for several objectives that do not come to one number; then `trial.score` is None, and
            `trial.scores` has a number for each.
        descends: whether it has trials start from what others, which have ended, have left (`Suggestion.run(parent=...)`).
        deadline: how many seconds one call may take, ten minutes by default; None for no limit (somebody is asked, who may be
            asleep). An oracle that takes longer has failed, as one has that raises: trials that run go on to their end, then
            the search ends with a `PluginError` that names the hook, and can be resumed. One that runs apart has not: within
            the deadline it has to propose, or a random proposal, which is new, takes that place (`Suggestion.fallback` says
            so), and what it comes up with later for the same trial is dropped.
        patience: how many seconds one that runs apart may go without an answer before it has hung, and failed; an hour by
            default, None for no limit.
    """

    ahead: ClassVar[int] = 0
    learns: ClassVar[bool] = True
    apart: ClassVar[bool] = False
    fill: ClassVar[FillRule] = FillRule.DRAW
    exhaustive: ClassVar[bool] = False
    several: ClassVar[bool] = False
    repeats: ClassVar[bool] = False
    descends: ClassVar[bool] = False
    deadline: ClassVar[float | None] = 600.0
    patience: ClassVar[float | None] = 3600.0

    seed: int
    objective: Goal
    known: Known

    @property
    def name_in_errors(self) -> str:
        """The class that errors name: its own, or that of the oracle that it stands before."""
        return type(self).__name__

    @property
    def is_exhaustible(self) -> bool:
        """Whether it comes to an end by itself in a finite space: unless it means to repeat what was tried."""
        return not self.repeats

    @property
    def hears_reports(self) -> bool:
        """Whether `on_trial_result` is called at all: only where it is overridden."""
        return type(self).on_trial_result is not Oracle.on_trial_result

    def set_search(self, *, objective: Goal, seed: int) -> None:
        """Called once, before everything else; `self.known` is there by then."""
        self.objective = objective
        self.seed = seed

    @abstractmethod
    def populate_space(self, trial_id: TrialId, space: Space) -> Suggestion | Awaitable[Suggestion]:
        """Propose values for the next trial.

        Args:
            trial_id: the id that the trial will have. The same id is asked again after IDLE.
            space: the parameters known by now; it grows when trials name new ones.

        Returns:
            `Suggestion.run(values)`, `Suggestion.idle()` (asked again when a trial has ended or the space has grown), or
            `Suggestion.exhausted()` (asked again only when the space has grown).
        """

    def on_trial_result(self, trial: TrialView, report: Report) -> Awaitable[None] | None:
        """A trial reported. Called only where it is overridden; may be async."""
        return None

    def on_trial_end(self, trial: TrialView) -> Awaitable[None] | None:
        """A trial ended (COMPLETED or FAILED); may be async."""
        return None

    def get_state(self) -> Mapping[str, Any] | None:
        """What the oracle knows, as lists, dicts, numbers and strings. If given, it is stored with each answer and restored
        when the search is opened again, instead of asking for the recorded proposals once more."""
        return None

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Stand where `get_state` stood. Must be given where `get_state` is."""
        raise TypeError(f"{type(self).__name__} has get_state() and no set_state(): write both or neither")

    def settings(self) -> Mapping[str, Any]:
        """What makes this oracle answer as it does: its fingerprint in the journal."""
        return {}
