"""BOHB's model: what was good at the highest rung that enough trials have come to is where the next ones are proposed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from attrs import define, field

from asynctune.errors import ConfigurationError
from asynctune.oracles.base import Oracle
from asynctune.oracles.density import Density
from asynctune.records import Report, State, Suggestion, TrialId, TrialView, Value, Values
from asynctune.seeds import derive, fill_seed, generator, unit
from asynctune.space import Space
from asynctune.validators import number

__all__ = ["BOHB"]

_DRAWS: Final = 20  # that are looked at for one that is new
_MOST: Final = 300  # of the newest trials of a rung that a model is made of
_TINY: Final = 1e-32  # below which a density is none


@define(kw_only=True, eq=False, slots=False)
class BOHB(Oracle):
    """The model of BOHB, Falkner et al., "BOHB: Robust and Efficient Hyperparameter Optimization at Scale" (ICML 2018).

    Trials are compared at rungs, the steps max_steps, max_steps / factor, max_steps / factor², … down to `grace` (rounded
    down): a trial counts at each with its first report there or beyond. The model is of the highest rung that `min_points` + 2
    trials have come to: one density of the best `top_share` of them, another of the rest, or of the worst
    `min_points` where the rest is fewer: so some can be in both. A proposal is drawn from the first, with kernels
    `bandwidth_factor` times as wide; of `candidates` such draws it is the one where the first density is highest
    against the second (as in TPE, but with kernels over all parameters at once). One in three is drawn at random all the same,
    and so is each as long as no rung has trials enough.

    It goes with any scheduler that lets trials come to rungs: `asynctune.schedulers.BOHB` is the one of the paper, and ASHA and
    none do as well. A trial that has reported nothing counts at `max_steps` with its score. Metrics that are not finite are the
    worst of their rung; trials that fail before they report are ignored. Scores of an earlier search (`warm_start=`) count at
    `max_steps`. The model is made of the newest 300 trials of the rung.

    It never waits, and never proposes what was tried, waits or runs. It runs in a process of its own. The proposal for trial n
    depends on the search's seed, on n, and on what was reported by then, in its order.

    Args:
        max_steps, grace, factor: as of the scheduler; `grace` is 1 and `factor` 3 by default.
        min_points: how many trials a density is made of, at least; by default one more than there are parameters.
        top_share: above 0 and at most 1, by default 0.15.
        candidates: at least 1, by default 64.
        random_fraction: from 0 to 1, by default 1/3.
        bandwidth_factor: at least 1, by default 3.
        min_bandwidth: of a kernel, as a part of a parameter's scale; above 0, by default 0.001.

    Raises:
        ConfigurationError: for another argument, or if `max_steps` is below `grace`.
    """

    apart: ClassVar[bool] = True

    max_steps: int = field(validator=number(1, integer=True))
    grace: int = field(default=1, validator=number(1, integer=True))
    factor: int = field(default=3, validator=number(2, integer=True))
    min_points: int | None = field(default=None, validator=number(2, integer=True, optional=True))
    top_share: float = field(default=0.15, validator=number(0, above=True, most=1))
    candidates: int = field(default=64, validator=number(1, integer=True, most=1_000_000))
    random_fraction: float = field(default=1 / 3, validator=number(0, most=1))
    bandwidth_factor: float = field(default=3.0, validator=number(1, finite=True))
    min_bandwidth: float = field(default=0.001, validator=number(0, above=True, most=1))
    rungs: tuple[int, ...] = field(init=False, repr=False)
    # By rung, the loss and the values of each trial that has come there, in the order in which they did.
    _seen: tuple[list[tuple[float, Values]], ...] = field(init=False, repr=False)
    # How many rungs each live trial has come to.
    _climbed: dict[TrialId, int] = field(init=False, factory=dict, repr=False)

    def __attrs_post_init__(self) -> None:
        if self.max_steps < self.grace:
            raise ConfigurationError(f"BOHB(max_steps={self.max_steps}) is below grace={self.grace}: there is no rung")
        rungs, step = [], self.max_steps
        while step >= self.grace and step > 0:
            rungs.append(step)
            step = self.max_steps // self.factor ** len(rungs)
        self.rungs = tuple(reversed(rungs))
        self._seen = tuple([] for _ in self.rungs)

    def on_trial_result(self, trial: TrialView, report: Report) -> None:
        """See whether it has come to a rung."""
        value = self.objective.of(report.metrics)
        if value is None:
            return
        climbed = self._climbed.get(trial.id, 0)
        while climbed < len(self.rungs) and report.step >= self.rungs[climbed]:
            self._seen[climbed].append((self.objective.loss(value), trial.values))
            climbed += 1
        self._climbed[trial.id] = climbed

    def on_trial_end(self, trial: TrialView) -> None:
        """One that has reported nothing counts by its score."""
        if self._climbed.pop(trial.id, None) is None and trial.state is State.COMPLETED and trial.score is not None:
            self._seen[-1].append((self.objective.loss(trial.score), trial.values))

    def populate_space(self, trial_id: TrialId, space: Space) -> Suggestion:
        """The most promising of some draws from around the best; or anything."""
        if space and unit(self.seed, "bohb", trial_id) >= self.random_fraction:
            promising = self._promising(trial_id, space)
            if promising is not None:
                return Suggestion.run(promising)
        luck = fill_seed(self.seed, trial_id)
        values: Values = {}
        for again in range(_DRAWS):
            values = space.sample(derive(luck, again) if again else luck)
            if self.known.is_new(values):
                break
        return Suggestion.run(values)

    def _promising(self, trial_id: TrialId, space: Space) -> dict[str, Value] | None:
        least = self.min_points or sum(_varies(each) for each in space.values()) + 1
        seen = next((seen for seen in reversed(self._seen) if len(seen) >= least + 2), None)
        if seen is None:
            return None
        # Of a trial that named its parameters itself, what it never asked for is no part of it.
        ranked = [values for _, values in sorted(seen[-_MOST:], key=lambda each: each[0])]
        good, bad = (Density(space, part, self.min_bandwidth) for part in self._parted(ranked, least))
        rng = generator(self.seed, "bohb", "draws", trial_id)
        drawn = [good.draw(rng, self.bandwidth_factor) for _ in range(self.candidates)]
        promise = [max(good.at(values), _TINY) / max(bad.at(values), _TINY) for values in drawn]
        order = sorted(range(len(drawn)), key=lambda place: -promise[place])
        return next((drawn[place] for place in order if self.known.is_new(drawn[place])), None)

    def _parted(self, ranked: Sequence[Values], least: int) -> tuple[Sequence[Values], Sequence[Values]]:
        """The best of these, and the rest: of each at least `least`, as long as there are so many. They may overlap."""
        top = max(least, math.floor(self.top_share * len(ranked)))
        return ranked[:top], ranked[max(0, min(top, len(ranked) - least)) :]

    def settings(self) -> Mapping[str, Any]:
        """What makes it propose as it does."""
        return {
            "max_steps": self.max_steps,
            "grace": self.grace,
            "factor": self.factor,
            "min_points": self.min_points,
            "top_share": self.top_share,
            "candidates": self.candidates,
            "random_fraction": self.random_fraction,
            "bandwidth_factor": self.bandwidth_factor,
            "min_bandwidth": self.min_bandwidth,
        }


def _varies(parameter: Any) -> bool:
    return getattr(parameter, "size", None) != 1
