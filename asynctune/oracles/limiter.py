"""A limit on how many trials of an oracle run at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any

from attrs import define, field

from asynctune.objective import Goal
from asynctune.oracles.base import Oracle
from asynctune.oracles.wrapped import settings_of, take_over
from asynctune.records import Report, Suggestion, SuggestionStatus, TrialId, TrialView
from asynctune.space import Space
from asynctune.validators import flag, number

__all__ = ["ConcurrencyLimiter"]


@define(eq=False, slots=False)
class ConcurrencyLimiter(Oracle):
    """At most so many of another oracle's trials wait or run at a time (Ray Tune's wrapper of that name).

    An oracle that learns proposes better the more it knows, so fewer at a time cost time and save trials. The limit counts what
    this oracle has proposed: what was enqueued runs beside it. A trial that is tried again after a failure is still the same.

    Args:
        oracle: proposes.
        max_concurrent: how many at a time; at least 1.
        batch: whether the next ones are only proposed when all of so many have ended, for an algorithm of generations.

    Raises:
        ConfigurationError: for another argument.
    """

    oracle: Oracle = field()
    max_concurrent: int = field(validator=number(1, integer=True))
    batch: bool = field(default=False, kw_only=True, validator=flag)
    # What it has proposed and has not ended; and whether the batch is full, so that the next one waits for its end.
    _live: set[TrialId] = field(init=False, repr=False, factory=set)
    _full: bool = field(init=False, repr=False, default=False)

    def __attrs_post_init__(self) -> None:
        take_over(self, self.oracle, "repeats")

    @property
    def name_in_errors(self) -> str:
        """What can fail is the other oracle."""
        return self.oracle.name_in_errors

    @property
    def is_exhaustible(self) -> bool:
        """As the other oracle is."""
        return self.oracle.is_exhaustible

    @property
    def hears_reports(self) -> bool:
        """What the other oracle does not hear would be sent for nothing."""
        return self.oracle.hears_reports

    def set_search(self, *, objective: Goal, seed: int) -> None:
        """Called once, before everything else."""
        super().set_search(objective=objective, seed=seed)
        self.oracle.known = self.known
        self.oracle.set_search(objective=objective, seed=seed)

    def populate_space(self, trial_id: TrialId, space: Space) -> Suggestion | Awaitable[Suggestion]:
        """What the other oracle proposes, if one more may run."""
        # Not by what was answered alone: what nothing was left for, and what the record says otherwise of, never ran.
        self._live &= self.known.pending.keys()
        self._full = self._full and bool(self._live)
        if self._full or len(self._live) >= self.max_concurrent:
            return Suggestion.idle()
        answer = self.oracle.populate_space(trial_id, space)
        return self._counted(trial_id, answer) if isinstance(answer, Suggestion) else self._awaited(trial_id, answer)

    async def _awaited(self, trial_id: TrialId, answer: Awaitable[Suggestion]) -> Suggestion:
        return self._counted(trial_id, await answer)

    def _counted(self, trial_id: TrialId, answer: Suggestion) -> Suggestion:
        if answer.status is SuggestionStatus.RUNNING:
            self._live.add(trial_id)
            self._full = self.batch and len(self._live) == self.max_concurrent
        return answer

    def on_trial_result(self, trial: TrialView, report: Report) -> Awaitable[None] | None:
        """A trial reported."""
        return self.oracle.on_trial_result(trial, report)

    def on_trial_end(self, trial: TrialView) -> Awaitable[None] | None:
        """A trial ended."""
        return self.oracle.on_trial_end(trial)

    def get_state(self) -> Mapping[str, Any] | None:
        """The other oracle's state, if it gives one, and what runs."""
        state = self.oracle.get_state()
        return None if state is None else {"oracle": dict(state), "live": sorted(self._live), "full": self._full}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Stand where `get_state` stood."""
        self.oracle.set_state(state["oracle"])
        self._live, self._full = set(state["live"]), state["full"]

    def settings(self) -> Mapping[str, Any]:
        """What makes it propose as it does."""
        return {"oracle": settings_of(self.oracle), "max_concurrent": self.max_concurrent, "batch": self.batch}
