"""CMA-ES through the cmaes library, which is imported when a search begins."""

from __future__ import annotations

import copy
import importlib
import logging
import math
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from itertools import islice
from typing import Any

from attrs import define, field, frozen

from asynctune.errors import ConfigurationError
from asynctune.objective import Goal
from asynctune.oracles.base import Oracle
from asynctune.records import State, Suggestion, TrialId, TrialView, Value, Values
from asynctune.seeds import derive, fill_seed
from asynctune.space import Cases, Choice, Domain, Float, Int, Normal, Space, draw

__all__ = ["CMAES"]

_logger = logging.getLogger("asynctune.oracle")


@frozen
class _Asked:
    """What was proposed for a trial, and from which distribution."""

    generation: int
    point: Any
    values: Values


@define(kw_only=True, eq=False, slots=False)
class CMAES(Oracle):
    """The covariance matrix adaptation evolution strategy (Hansen, "The CMA Evolution Strategy: A Tutorial", arXiv 1604.00772),
    by the cmaes library: for up to some tens of numbers, and budgets of some hundred trials.

    It works in [0, 1] along the scale of each number; steps, and ordered choices, each have an equal part of it. What it has no
    place for is drawn at random for each trial, and said so once in the log: choices without an order, booleans, and what is
    there only under conditions. Where those matter, `TPE` is the better choice.

    A generation is complete when `popsize` of the trials that were drawn from it have ended; they are then ranked, those that
    failed last. What was drawn from a generation and ends after it is not used: with as many workers as `popsize`, that is
    nearly half of all trials. It begins at the best that is known from earlier searches (`warm_start=`), otherwise in the
    middle; and anew when trials have named new parameters.

    The proposal for trial n depends on the search's seed, on n, and on the generations before, and on nothing else. Needs
    `pip install "asynctune[cmaes]"`.

    Args:
        sigma0: the standard deviation that it begins with, where the whole range of each number is 1.
        popsize: trials of a generation, at least 4; 4 + floor(3 log(numbers)) if it is None.
        restarts: whether it begins again, elsewhere and with twice the popsize, when it has converged (Auger and Hansen, "A
            Restart CMA Evolution Strategy with Increasing Population Size", CEC 2005).

    Raises:
        ConfigurationError: for what is none of these; or the cmaes library is not installed.
    """

    sigma0: float = field(default=1 / 6)
    popsize: int | None = field(default=None)
    restarts: bool = field(default=True)
    _axes: dict[str, Domain] = field(init=False, repr=False)
    _optimizer: Any = field(init=False, repr=False, default=None)
    _runs: int = field(init=False, repr=False, default=0)
    _generation: int = field(init=False, repr=False, default=0)
    _asked: dict[TrialId, _Asked] = field(init=False, repr=False)
    _ended: dict[TrialId, tuple[Any, float | None]] = field(init=False, repr=False)
    _told: int = field(init=False, repr=False, default=0)

    @sigma0.validator
    def _spread(self, _: Any, value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
            message = f"CMAES(sigma0=...) takes a number above 0 and at most 1, the whole range, not {value!r}"
            raise ConfigurationError(message)

    @popsize.validator
    def _size(self, _: Any, value: Any) -> None:
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 4):
            raise ConfigurationError(f"CMAES(popsize=...) takes an integer of at least 4, or None, not {value!r}")

    @restarts.validator
    def _switch(self, _: Any, value: Any) -> None:
        if not isinstance(value, bool):
            raise ConfigurationError(f"CMAES(restarts=...) takes True or False, not {value!r}")

    def __attrs_post_init__(self) -> None:
        if find_spec("cmaes") is None:
            raise ConfigurationError('CMAES needs cmaes, which is not installed: pip install "asynctune[cmaes]"')

    def settings(self) -> Mapping[str, Any]:
        """Its arguments."""
        return {"sigma0": self.sigma0, "popsize": self.popsize, "restarts": self.restarts}

    def set_search(self, *, objective: Goal, seed: int) -> None:
        """Called once, before everything else."""
        super().set_search(objective=objective, seed=seed)
        self._axes, self._asked, self._ended = {}, {}, {}
        self._optimizer, self._runs, self._generation, self._told = None, 0, 0, 0

    def populate_space(self, trial_id: TrialId, space: Space) -> Suggestion:
        """Rank a generation, if one is complete; then draw from the next."""
        axes = {
            name: parameter for name, parameter in space.items() if not isinstance(parameter, Cases) and _is_axis(parameter)
        }
        if axes != self._axes:
            self._axes = axes
            others = [name for name, domain in space.items() if name not in axes and _varies(domain)]
            if others:
                _logger.info("CMAES draws %s at random, for which it has no place", ", ".join(map(repr, others)))
            self._begin()
        self._hear()
        values = dict[str, Value]()
        if self._optimizer is not None:
            point, values = self._drawn(trial_id)
            self._asked[trial_id] = _Asked(self._generation, point, values)
        luck = fill_seed(self.seed, trial_id)
        return Suggestion.run(space.complete(values, lambda name, domain: draw(domain, derive(luck, name))))

    def _drawn(self, trial_id: TrialId) -> tuple[Any, dict[str, Value]]:
        self._optimizer.reseed_rng(derive(self.seed, "cmaes", trial_id) % 2**32)
        point = self._optimizer.ask()
        places = zip(self._axes.items(), point, strict=True)
        return point, {name: domain.from_unit(min(max(float(place), 0.0), 1.0)) for (name, domain), place in places}

    # -------------------------------------------------------------------------------------------------- the generations

    def _begin(self) -> None:
        """Begin a run: the first, or one with more axes, or a restart."""
        self._generation += 1
        self._asked.clear()
        self._ended.clear()
        if not self._axes:
            self._optimizer = None
            return
        numpy, library = importlib.import_module("numpy"), importlib.import_module("cmaes")
        axes = len(self._axes)
        # Not with margin (Hamano et al., "CMA-ES with Margin", GECCO 2022), which keeps it from shrinking onto one step, and is
        # slower on the way: what it has shrunk onto was tried, and so something new is proposed in its place.
        self._optimizer = library.CMA(
            mean=numpy.array(self._start()),
            sigma=float(self.sigma0),
            bounds=numpy.tile([0.0, 1.0], (axes, 1)),
            population_size=self._population(axes),
        )

    def _population(self, axes: int) -> int | None:
        if self._runs == 0:
            return self.popsize
        first = self.popsize or 4 + math.floor(3 * math.log(axes))
        return int(first * 2**self._runs)

    def _start(self) -> Sequence[float]:
        best = self.known.best
        if self._runs == 0 and best is not None and best.id < 0:
            fits = {name: domain.contains(best.values.get(name)) for name, domain in self._axes.items()}
            if all(fits.values()):
                return [domain.to_unit(best.values[name]) for name, domain in self._axes.items()]
        if self._runs == 0:
            return [0.5 for _ in self._axes]
        return [derive(self.seed, "restart", self._runs, name) / 2**63 for name in self._axes]

    def _hear(self) -> None:
        """Take in the trials that have ended since."""
        ended = list(islice(self.known.trials.values(), self._told, None))
        self._told += len(ended)
        for view in ended:
            asked = self._asked.pop(view.id, None)
            if asked is None or asked.generation != self._generation or not _was_run(asked.values, view):
                continue  # another's, too late, or replaced by something that says nothing of this distribution
            score = view.score if view.state is State.COMPLETED and not view.violates else None
            self._ended[view.id] = asked.point, None if score is None else self.objective.loss(score)
            if len(self._ended) >= self._optimizer.population_size:
                self._rank()

    def _rank(self) -> None:
        worst = max((loss for _, loss in self._ended.values() if loss is not None), default=0.0)
        ranked = [(point, worst if loss is None else loss) for _, (point, loss) in sorted(self._ended.items())]
        self._optimizer.tell(ranked)
        # A copy of one differs in the last bit of what it has computed. So each is one, and a copy of ours proposes the same.
        self._optimizer = copy.deepcopy(self._optimizer)
        self._generation += 1
        self._ended.clear()
        if self.restarts and self._optimizer.should_stop():
            self._runs += 1
            self._begin()


def _is_axis(domain: Any) -> bool:
    if isinstance(domain, Choice):
        return domain.ordered and domain.size > 1
    return isinstance(domain, Int | Float | Normal) and domain.size != 1


def _varies(parameter: Any) -> bool:
    return getattr(parameter, "size", None) != 1


def _was_run(values: Values, view: TrialView) -> bool:
    return all(view.values.get(name, value) == value for name, value in values.items())
