"""What is known of a search's trials, and what is left to be tried.

Every oracle has one of these, and none has to keep its own: the proposer writes down here what is proposed, what has ended and
what was observed before, in the order of the journal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from attrs import define, evolve, field

from asynctune.objective import Goal
from asynctune.oracles.observed import Observed
from asynctune.oracles.odometer import left
from asynctune.oracles.tried import Tried
from asynctune.records import State, TrialId, TrialView, Values
from asynctune.seeds import derive, fill_seed
from asynctune.space import FillRule, Space

__all__ = ["Known"]

_DRAWS: Final = 20  # before what is left over is looked for instead


@define(eq=False, kw_only=True)
class Known:
    """The trials of a search, as its oracle may know them. To be read; the proposer alone writes.

    Args:
        objective, seed: of the search.
        fill: how a parameter that nobody has proposed a value for gets one.
        tuned: the parameters that are ever proposed values for; None when those that trials name become known, too. What a
            trial has beside them tells it from no other.
        space: what was known of the space when a trial was last proposed; at first, what is declared.

    Attributes:
        tried: which combinations need not be tried again; for those that walk over the rest.
    """

    objective: Goal
    seed: int
    fill: FillRule
    tuned: frozenset[str] | None = None
    space: Space = field(factory=Space)
    tried: Tried = field(init=False)
    _trials: dict[TrialId, TrialView] = field(init=False, factory=dict)
    _pending: dict[TrialId, Values] = field(init=False, factory=dict)
    _scored: list[TrialView] = field(init=False, factory=list)
    _worst: float = field(init=False, default=-math.inf)
    _losses: dict[TrialId, float] = field(init=False, factory=dict)
    _best: TrialView | None = field(init=False, default=None)
    _observed: Observed = field(init=False, factory=Observed)
    # How many trials were COMPLETED here: now, and when what waits was last looked at.
    _ended: int = field(init=False, default=0)
    _looked: int = field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        self.tried = Tried(self.fill, self.seed)

    @property
    def trials(self) -> Mapping[TrialId, TrialView]:
        """The trials that have ended, COMPLETED or FAILED, in the order in which they did. What was observed in earlier
        searches (`warm_start=`) is among them as trials -1, -2, ...: first, if the space was declared; otherwise as soon as
        trials have named all parameters that it has, and not at all where its values do not fit these."""
        return MappingProxyType(self._trials)

    @property
    def pending(self) -> Mapping[TrialId, Values]:
        """The values of each trial that was proposed or enqueued and has not ended, in the order in which they were."""
        return MappingProxyType(self._pending)

    @property
    def best(self) -> TrialView | None:
        """The one of `scored()` with the best score that keeps to the constraints, the first of equals; None while there is
        none."""
        return self._best

    def scored(self) -> list[TrialView]:
        """Those of `trials` that are COMPLETED with a finite score, in their order. A new list, yours to sort."""
        return list(self._scored)

    def loss(self, trial: TrialView) -> float:
        """What a trial of `scored()` counts for, less is better: its score; for one that breaks a constraint, the worst score
        that was known when it ended, so that nothing is drawn to where it was."""
        return self._losses[trial.id]

    def newest(self, most: int) -> list[TrialView]:
        """The last of `scored()`, at most so many, the newest first. Costs no more than it returns."""
        return self._scored[: -most - 1 : -1]

    def is_new(self, values: Values) -> bool:
        """Whether a trial with these values would be a new one, and may be tried: no trial that has ended stands for them, and
        none that waits or runs; and the rules of the space allow them.

        Args:
            values: one for each parameter that is known, of the parameter's own type.
        """
        return not self.space or (self.tried.covering(values) is None and self.space.is_allowed(values))

    def drawn(self, trial_id: TrialId, draw: Callable[[int], Values]) -> Values | None:
        """Something new, from 20 draws at most; where none of them is, what is left over, if anything is.

        Args:
            trial_id: for which trial: draws depend on the search's seed and on this.
            draw: makes values of a seed.
        """
        luck = fill_seed(self.seed, trial_id)
        for again in range(_DRAWS):
            values = draw(derive(luck, again) if again else luck)
            if self.is_new(values):
                return values
        return self.left(trial_id)

    def left(self, trial_id: TrialId) -> Values | None:
        """Some combination that is new, or None when nothing is left. Depends on the search's seed, on `trial_id`, and on what
        has been tried, and on nothing else.

        Raises:
            SpaceError: the rules of the space allow next to nothing, and what they do allow was not found.
        """
        return left(self.tried, self.space, derive(self.seed, "left", trial_id))

    # ------------------------------------------------------------------------------------------- told by the proposer

    @property
    def left_out(self) -> Mapping[TrialId, str]:
        """What was observed in earlier searches and does not count, because it does not fit the space: why, by its id."""
        return MappingProxyType(self._observed.left_out)

    def see(self, space: Space) -> list[TrialView]:
        """The space as it is now. Returns what was observed in earlier searches, and counts from now on."""
        self.space = space
        grown = self.tried.see(space)
        return self._admitted() if self._observed.any and (grown or self._ended != self._looked) else []

    def propose(self, trial: TrialId, values: Values) -> None:
        """This trial is going to be run."""
        self._pending[trial] = values
        self.tried.propose(trial, self._telling(values))

    def end(self, trial: TrialView) -> list[TrialView]:
        """This trial, proposed here or not, has ended. Returns those that count by it: one of an earlier search may have to
        wait, and does not count as tried here."""
        if trial.id < 0:
            self._observed.add(trial)
            return self._admitted()
        self._pending.pop(trial.id, None)
        values = self._telling(trial.values)
        self.tried.end(trial if len(values) == len(trial.values) else evolve(trial, values=values))
        self._ended += trial.state is State.COMPLETED
        self._count(trial)
        return [trial]

    def _admitted(self) -> list[TrialView]:
        self._looked = self._ended
        found = self._observed.fitting(self.space, final=self._ended > 0)
        for trial in found:
            self._count(trial)
        return found

    def _count(self, trial: TrialView) -> None:
        self._trials[trial.id] = trial
        if trial.state is not State.COMPLETED or trial.score is None or not math.isfinite(trial.score):
            return
        self._scored.append(trial)
        loss = self.objective.loss(trial.score)
        self._worst = max(self._worst, loss)
        self._losses[trial.id] = self._worst if trial.violates else loss
        if not trial.violates and (self._best is None or loss < self._losses[self._best.id]):
            self._best = trial

    def _telling(self, values: Values) -> Values:
        """Those that tell one trial from another: neither those that are computed, nor those that are not tuned."""
        derived, tuned = self.space.derived, self.tuned
        if not derived and tuned is None:
            return values
        return {name: each for name, each in values.items() if name not in derived and (tuned is None or name in tuned)}
