"""An oracle written in KerasTuner's words, as the oracle of a search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

from asynctune.errors import ConfigurationError, PluginError
from asynctune.keras.trial import Trial, TrialStatus, status_of
from asynctune.messages import FillRule
from asynctune.objective import Goal
from asynctune.oracles.base import Oracle
from asynctune.oracles.known import Known
from asynctune.oracles.wrapped import its_own
from asynctune.records import Suggestion, SuggestionStatus, TrialId, TrialView
from asynctune.space import HyperParameters, Space

__all__ = ["KerasOracle", "Words", "asked", "proposal"]


class Words(Protocol):
    """What is asked of an oracle in KerasTuner's words; `asynctune.keras.Oracle` has all of it, and says what each is."""

    trials: dict[str, Trial]
    hyperparameters: HyperParameters

    def populate_space(self, trial_id: str) -> Mapping[str, Any]:
        """Propose values."""

    def get_state(self) -> Mapping[str, Any]:
        """What it knows."""

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Know that again."""

    def begin(self, objective: Goal, seed: int, known: Known) -> None:
        """Called first."""

    def ended(self, trial: TrialView) -> None:
        """A trial has ended."""

    def trial_id(self, number: int) -> str:
        """The id of a trial."""


class KerasOracle(Oracle):
    """Has an oracle in KerasTuner's words propose in a search: `asynctune.search(oracle=KerasOracle(MyOracle()), ...)`.

    Its `populate_space(trial_id)` finds `self.trials`, `self.hyperparameters`, `self.objective` and `self.seed` as they stand.
    Of what it was made with, only what `populate_space` looks at has a meaning here: `max_trials`, retries and limits are the
    search's. What it proposes is checked and completed, and is replaced where it is no new combination. `STOPPED` ends asking;
    `IDLE` asks again when a trial has ended.

    Args:
        oracle: of a subclass of `asynctune.keras.Oracle`. Its state is recorded, if it gives one itself.

    Raises:
        ConfigurationError: for anything else.
    """

    fill: ClassVar[FillRule] = FillRule.DEFAULT

    def __init__(self, oracle: Words) -> None:
        if isinstance(oracle, type) or not callable(getattr(oracle, "begin", None)):
            raise ConfigurationError(
                f"KerasOracle(...) takes an object of a subclass of asynctune.keras.Oracle, not {oracle!r}"
            )
        self.oracle = oracle
        its_own(self, fill=getattr(oracle, "fill", FillRule.DEFAULT))
        # Where a class gives a state itself, a search is restored from it; else it is asked again for what it has proposed.
        self._has_state = "get_state" in {name for kind in type(oracle).__mro__[:-1] for name in _own(kind)}

    @property
    def name_in_errors(self) -> str:
        """See `Oracle.name_in_errors`."""
        return type(self.oracle).__name__

    def set_search(self, *, objective: Goal, seed: int) -> None:
        """See `Oracle.set_search`."""
        super().set_search(objective=objective, seed=seed)
        self.oracle.begin(objective, seed, self.known)

    def populate_space(self, trial_id: TrialId, space: Space) -> Suggestion:
        """See `Oracle.populate_space`."""
        self._show(space)
        answer: Any = self.oracle.populate_space(self.oracle.trial_id(trial_id))
        status = answer.get("status") if isinstance(answer, Mapping) else None
        values = answer.get("values") if isinstance(answer, Mapping) else None
        if status == TrialStatus.STOPPED:
            return Suggestion.exhausted()
        if status == TrialStatus.IDLE:
            return Suggestion.idle()
        if status != TrialStatus.RUNNING or not isinstance(values, Mapping | None):
            wanted = '{"status": "RUNNING", "values": {...}}, or the status "IDLE" or "STOPPED"'
            raise PluginError(f"{self.name_in_errors}.populate_space returned {answer!r}: it must return {wanted}")
        return Suggestion.run(values or {})

    def on_trial_end(self, trial: TrialView) -> None:
        """See `Oracle.on_trial_end`."""
        self._keep(trial)
        self.oracle.ended(trial)

    def get_state(self) -> Mapping[str, Any] | None:
        """See `Oracle.get_state`."""
        return self.oracle.get_state() if self._has_state else None

    def set_state(self, state: Mapping[str, Any]) -> None:
        """See `Oracle.set_state`."""
        self.oracle.set_state(state)

    def settings(self) -> Mapping[str, Any]:
        """See `Oracle.settings`."""
        return {"oracle": type(self.oracle).__qualname__}

    def _show(self, space: Space) -> None:
        """Show it the space, and what runs."""
        self.oracle.hyperparameters = HyperParameters(space)
        for number, values in self.known.pending.items():
            name = self.oracle.trial_id(number)
            if name not in self.oracle.trials:
                self.oracle.trials[name] = Trial(asked(space, values), name)

    def _keep(self, view: TrialView) -> None:
        name = self.oracle.trial_id(view.id)
        trial = self.oracle.trials[name] = Trial(asked(self.known.space, view.values), name, status_of(view.state))
        for report in view.reports:
            for metric, value in report.metrics.items():
                trial.metrics.update(metric, value, report.step)
        trial.score = view.score
        trial.take(view)


def asked(space: Mapping[str, Any], values: Mapping[str, Any]) -> HyperParameters:
    """Hyperparameters that have these values, where they are known."""
    hyperparameters = HyperParameters(space, values)
    for name in values:
        if name in hyperparameters:
            hyperparameters.get(name)
    hyperparameters.drain()
    return hyperparameters


def proposal(suggestion: Suggestion) -> dict[str, Any]:
    """A suggestion, in KerasTuner's words."""
    status = "STOPPED" if suggestion.status is SuggestionStatus.EXHAUSTED else suggestion.status.value
    return {"status": TrialStatus(status), "values": dict(suggestion.values)}


def _own(kind: type) -> set[str]:
    return set() if kind.__module__ == "asynctune.keras.oracle" else set(vars(kind))
