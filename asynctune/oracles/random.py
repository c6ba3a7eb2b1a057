"""Random search: every proposal is drawn by itself, and none is made twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from attrs import define, field

from asynctune.objective import Goal
from asynctune.oracles.base import Oracle
from asynctune.oracles.tried import Odometer, Tried
from asynctune.records import Suggestion, TrialId, TrialView, Value, Values
from asynctune.seeds import derive, fill_seed
from asynctune.space import Domain, Space, draw

__all__ = ["RandomSearch"]

_DRAWS: Final = 20  # before what is left is looked for instead
_LISTED: Final = 100_000  # values, at most, that a parameter can have for each of them to be looked at


@define(kw_only=True, eq=False, slots=False)
class RandomSearch(Oracle):
    """Values drawn at random (Bergstra and Bengio, "Random Search for Hyper-Parameter Optimization", JMLR 2012), each parameter
    by its own distribution.

    No combination is proposed twice, whether its trial waits, runs or has ended. Where draws keep hitting what was tried, what
    is left is looked for, so that a small space is tried to the last combination; then the search is exhausted. A space with a
    parameter that takes any number never is.

    The proposal for trial n depends on the search's seed, on n, and on what has been tried, and on nothing else.

    While no parameter is known, trials are proposed without values, and draw what they ask for themselves: what they would have
    been given. Only then, in a very small space, two may coincide.
    """

    # It learns nothing from waiting.
    ahead: ClassVar[int] = 64
    several: ClassVar[bool] = True

    _tried: Tried = field(init=False, repr=False)

    def set_search(self, *, objective: Goal, seed: int) -> None:
        """Called once, before everything else."""
        super().set_search(objective=objective, seed=seed)
        self._tried = Tried(self.fill, seed)

    def populate_space(self, trial_id: TrialId, space: Space) -> Suggestion:
        """Draw until something is new; then look for what is left."""
        self._tried.see(space)
        if not space:
            self._tried.propose(trial_id, {})
            return Suggestion.run({})
        luck = fill_seed(self.seed, trial_id)
        values: Values | None
        for again in range(_DRAWS):
            values = space.sample(derive(luck, again) if again else luck)
            if self._tried.covering(values) is None:
                break
        else:
            values = self._left(trial_id, space)
        if values is None:
            return Suggestion.exhausted()
        self._tried.propose(trial_id, values)
        return Suggestion.run(values)

    def on_trial_end(self, trial: TrialView) -> None:
        """What the trial asked for has been tried, also what it found out itself."""
        self._tried.end(trial)

    def _left(self, trial_id: TrialId, space: Space) -> Values | None:
        # Each parameter's values from a place of its own on, so that what comes first is no corner of the space.
        wheels = {name: self._wheel(name, domain, derive(self.seed, "left", trial_id, name)) for name, domain in space.items()}
        return Odometer(wheels).next(self._tried)

    def _wheel(self, name: str, domain: Domain, luck: int) -> Sequence[Value]:
        if domain.size is not None and domain.size <= _LISTED:
            start = luck % domain.size
            return domain.values[start:] + domain.values[:start]
        # Among so many there are values that no trial has had, and one of them stands for all: nothing tried tells them apart.
        return (self._tried.fresh(name, (draw(domain, derive(luck, again)) for again in range(_LISTED))),)
