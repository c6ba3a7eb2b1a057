"""Our own algorithms, in KerasTuner's words."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from asynctune.errors import ConfigurationError
from asynctune.keras.adapter import proposal
from asynctune.keras.oracle import Oracle
from asynctune.keras.trial import TrialStatus
from asynctune.messages import FillRule
from asynctune.objective import Goal
from asynctune.oracles import GridSearch, RandomSearch
from asynctune.oracles.base import Oracle as Algorithm
from asynctune.oracles.known import Known
from asynctune.records import Suggestion, TrialView

__all__ = ["GridSearchOracle", "RandomSearchOracle"]


class _Native(Oracle):
    """Proposes what an algorithm of ours does."""

    _algorithm: Algorithm | None = None

    @abstractmethod
    def algorithm(self) -> Algorithm:
        """A new one."""

    def begin(self, objective: Goal, seed: int, known: Known) -> None:
        super().begin(objective, seed, known)
        self._algorithm = self.algorithm()
        self._algorithm.known = known
        self._algorithm.set_search(objective=objective, seed=seed)

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """See `Oracle.populate_space`."""
        if self._algorithm is None:
            raise ConfigurationError("populate_space() is called by create_trial(), or by a search: nobody has asked yet")
        suggestion = self._algorithm.populate_space(int(trial_id), self.known.space)
        assert isinstance(suggestion, Suggestion)  # noqa: S101 -- none of these is async
        return proposal(suggestion)

    def ended(self, trial: TrialView) -> None:
        if self._algorithm is not None:
            self._algorithm.on_trial_end(trial)


class RandomSearchOracle(_Native):
    """Random search; see `asynctune.oracles.RandomSearch`."""

    fill: ClassVar[FillRule] = RandomSearch.fill

    def algorithm(self) -> Algorithm:
        """See `asynctune.oracles.RandomSearch`."""
        return RandomSearch()


class GridSearchOracle(_Native):
    """Every combination; see `asynctune.oracles.GridSearch`."""

    fill: ClassVar[FillRule] = GridSearch.fill

    def algorithm(self) -> Algorithm:
        """See `asynctune.oracles.GridSearch`."""
        return GridSearch()

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """See `Oracle.populate_space`. While trials run, which may name more parameters, it is not at its end."""
        said = super().populate_space(trial_id)
        if said["status"] == TrialStatus.STOPPED and self.known.pending:
            return proposal(Suggestion.idle())
        return said
