"""Random search: every proposal is drawn by itself, and none is made twice."""

from __future__ import annotations

from typing import ClassVar, Final

from attrs import define

from asynctune.oracles.base import Oracle
from asynctune.records import Suggestion, TrialId
from asynctune.seeds import derive, fill_seed
from asynctune.space import Space

__all__ = ["RandomSearch"]

_DRAWS: Final = 20  # before what is left is looked for instead


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
    learns: ClassVar[bool] = False

    def populate_space(self, trial_id: TrialId, space: Space) -> Suggestion:
        """Draw until something is new. Where nothing was, the proposer looks for what is left."""
        luck = fill_seed(self.seed, trial_id)
        values = space.sample(luck)
        for again in range(1, _DRAWS):
            if self.known.is_new(values):
                break
            values = space.sample(derive(luck, again))
        return Suggestion.run(values)
