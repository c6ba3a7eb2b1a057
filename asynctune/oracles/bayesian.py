"""Bayesian optimisation: a Gaussian process learns from the trials where a better one may be."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar, Final

from attrs import define, field

from asynctune.errors import ConfigurationError
from asynctune.objective import Goal
from asynctune.oracles.base import Oracle
from asynctune.oracles.quasi_random import QuasiRandom
from asynctune.records import Suggestion, TrialId, Values
from asynctune.seeds import derive
from asynctune.space import Space
from asynctune.space.conditions import cases_of
from asynctune.validators import number

if TYPE_CHECKING:
    from asynctune.oracles._bayesian.surrogate import Surrogate

__all__ = ["BayesianOptimization"]

_LEAST: Final = 3  # scores, before which a model says nothing


@define(kw_only=True, eq=False, slots=False)
class BayesianOptimization(Oracle):
    """Proposes where a model of the objective, a Gaussian process, expects the most improvement. For up to some twenty
    parameters and some hundreds of trials, each of which takes longer than the hundredth of a second or so of a proposal.

    The first trials are spread over the space (`QuasiRandom`). From then on each proposal is made with the scores of all trials
    that have ended, those observed in earlier searches included; those that failed, or have no finite score, count for nothing.
    Trials that still run are taken to come out as the model expects, so that several workers look at several places. No
    combination is proposed twice, and a finite space is tried to the last one.

    The model is scikit-learn's `GaussianProcessRegressor` with a Matern 5/2 kernel that has a length for each parameter
    (Rasmussen and Williams, 2006; Snoek, Larochelle and Adams, 2012), and learns how much noise there is. What it maximises is
    the logarithm of the expected improvement (Ament et al., 2023). Choices are told apart and not put in an order, numbers are
    seen along their scale, and what a trial did not have is seen as absent. With more than 400 scores it is given the best 200
    of them, and 200 from all along the search. How it works in detail, and what differs from KerasTuner's, is in the guide
    "Bayesian optimization".

    Needs scikit-learn, `pip install "asynctune[bayesian]"`, which is imported when the first proposal is made.

    Args:
        num_initial_points: how many trials are proposed before the model is asked; by default one more than there are
            parameters to tune, and at least 3. Trials that run count, those that failed do not.
        alpha: the least variance of the noise in the scores, where all their variance is 1; above 0, and at most 1.
        beta: None (the default) for the expected improvement; or how many standard deviations better than expected a candidate
            is taken to be: KerasTuner's lower confidence bound, 2.6 there. The larger, the more it explores.

    Raises:
        ConfigurationError: for another argument, or if scikit-learn is not installed.
    """

    apart: ClassVar[bool] = True
    # A worker that has ended a trial would wait for the model as long as a short trial takes.
    ahead: ClassVar[int] = 1

    num_initial_points: int | None = field(default=None, validator=number(1, integer=True, optional=True))
    alpha: float = field(default=1e-6, validator=number(0, above=True, most=1.0))
    beta: float | None = field(default=None, validator=number(0, optional=True, finite=True))
    _design: QuasiRandom = field(init=False, repr=False)
    _surrogate: Surrogate | None = field(init=False, repr=False, default=None)
    # What the model has learnt: its hyperparameters, from how many observations, and for which space.
    _learnt: dict[str, Any] = field(init=False, repr=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        if find_spec("sklearn") is None:
            raise ConfigurationError('BayesianOptimization() needs scikit-learn: pip install "asynctune[bayesian]"')
        self._design = QuasiRandom()

    def set_search(self, *, objective: Goal, seed: int) -> None:
        """Called once, before everything else."""
        super().set_search(objective=objective, seed=seed)
        self._design.set_search(objective=objective, seed=derive(seed, "bayesian"))

    def populate_space(self, trial_id: TrialId, space: Space) -> Suggestion:
        """What promises most, of what is new."""
        values: Values | None
        if not self._is_ready(space):
            proposal = self._design.populate_space(trial_id, space)
            if self.known.is_new(proposal.values):
                return proposal
            values = self.known.left(trial_id)
        else:
            values = self._most_promising(trial_id, space) or self.known.left(trial_id)
        return Suggestion.exhausted() if values is None else Suggestion.run(values)

    def _is_ready(self, space: Space) -> bool:
        tuned = sum(any(case.domain.size != 1 for case in cases_of(parameter)) for parameter in space.values())
        wanted = max(tuned + 1, _LEAST) if self.num_initial_points is None else self.num_initial_points
        scored = len(self.known.scored())
        return tuned > 0 and scored >= min(wanted, _LEAST) and scored + len(self.known.pending) >= wanted

    def _most_promising(self, trial_id: TrialId, space: Space) -> Values | None:
        surrogate = self._model(space)
        ranked = surrogate.ranked(list(self.known.pending.values()), derive(self.seed, "bayesian", trial_id))
        self._learnt = {"space": space.fingerprint(), "theta": surrogate.theta, "observed": surrogate.learnt}
        return next((values for values in ranked if self.known.is_new(values)), None)

    def _model(self, space: Space) -> Surrogate:
        """The model of this space, which has observed all there is."""
        if self._surrogate is None or self._surrogate.space != space:
            make = import_module("asynctune.oracles._bayesian.surrogate").Surrogate
            self._surrogate = make(space, self.alpha, self.beta)
            if self._learnt.get("space") == space.fingerprint():
                self._surrogate.theta, self._surrogate.learnt = self._learnt["theta"], self._learnt["observed"]
        for trial in self.known.scored()[self._surrogate.count :]:
            self._surrogate.observe(trial.values, self.known.loss(trial))
        return self._surrogate

    def get_state(self) -> Mapping[str, Any]:
        """The hyperparameters of the model; what it has observed is known."""
        return self._learnt

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take hyperparameters up again."""
        self._learnt, self._surrogate = dict(state), None

    def settings(self) -> Mapping[str, Any]:
        """What makes it propose as it does."""
        return {"num_initial_points": self.num_initial_points, "alpha": self.alpha, "beta": self.beta}
