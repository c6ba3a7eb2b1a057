"""KerasTuner's oracle: trials asked for and told of by hand, in memory, with nothing else running.

The machine of a search decides what becomes of a trial; here are only KerasTuner's words for it. There is no event loop, no
thread, no file and no lock: one caller at a time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from asynctune._engine.record import pack, unpack
from asynctune._machine.stimuli import Heard, LaunchEnded, Settings
from asynctune._runner.failures import bounded
from asynctune.errors import ConfigurationError
from asynctune.failure import Failure, FailureKind
from asynctune.keras.adapter import KerasOracle, asked
from asynctune.keras.driver import Driver
from asynctune.keras.metrics import MetricsTracker
from asynctune.keras.trial import Trial, TrialStatus
from asynctune.messages import Ending, ParametersDeclared, RunTrial, TrialRaised, TrialReturned
from asynctune.objective import Goal, Objective, Objectives, as_objective
from asynctune.oracles.known import Known
from asynctune.policies import CheckpointPolicy, FailurePolicy, Limits, Resources
from asynctune.records import TrialView
from asynctune.request import fingerprint, new_seed
from asynctune.schedulers.fifo import FIFO
from asynctune.space import FillRule, HyperParameters, Space
from asynctune.space.conditions import Parameter

__all__ = ["Oracle"]

_SLOTS = 10**6
_ENDS = (TrialStatus.COMPLETED, TrialStatus.INVALID, TrialStatus.FAILED)


class _ByHand(KerasOracle):
    """As it is asked by `Oracle` itself, which keeps its trials, and its state, as records."""

    def _show(self, space: Space) -> None:
        self.oracle.hyperparameters = HyperParameters(space)

    def _keep(self, view: TrialView) -> None:
        pass

    def get_state(self) -> None:
        return None


class Oracle:
    """Proposes trials, and hears what came of them. Subclass it, and write `populate_space`.

    Proposals are checked: values of parameters that are there, the missing ones filled with their defaults. A combination that
    was proposed before is replaced by a new one, and where none is left, the search is STOPPED.

    Args:
        objective: an `Objective`, or a name whose direction Keras defines, or a list of these, which are summed (see
            `Objectives`). None is one named "default_objective", to be minimized.
        max_trials: how many trials may be started; None for no limit. Retries count as none.
        hyperparameters: a `HyperParameters`, or anything that a search takes as `space=`.
        allow_new_entries: whether trials may name parameters that are not among them.
        tune_new_entries: whether those are proposed values for from then on; else they have their defaults.
        seed: 0 is a seed, too; None draws one.
        max_retries_per_trial: how often an INVALID trial is run again.
        max_consecutive_failed_trials: how many trials may end FAILED one after the other before the search ends; None for no
            limit.

    Attributes:
        trials: every trial that was started, by its id, in that order.
        hyperparameters: the space, as far as it is known.

    Raises:
        ConfigurationError: an argument cannot work.
    """

    fill: ClassVar[FillRule] = FillRule.DEFAULT

    def __init__(  # noqa: PLR0917 -- KerasTuner's, in its order
        self,
        objective: Goal | str | Sequence[Goal | str] | None = None,
        max_trials: int | None = None,
        hyperparameters: Any = None,
        allow_new_entries: bool = True,
        tune_new_entries: bool = True,
        seed: int | None = None,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int | None = 3,
    ) -> None:
        for name, value, least in (("max_trials", max_trials, 1), ("seed", seed, 0)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
                raise ConfigurationError(f"{name}= takes an integer of at least {least}, or None, not {value!r}")
        for name, allowed in (("allow_new_entries", allow_new_entries), ("tune_new_entries", tune_new_entries)):
            if not allowed and hyperparameters is None:
                raise ConfigurationError(f"{name}=False leaves nothing to tune: give hyperparameters=")
        default = Objective("default_objective", "min")
        if isinstance(objective, list | tuple) and len(objective) > 1:
            objective = Objectives(objective, combine="sum")
        self.objective = default if objective is None else as_objective(objective)
        if not self.objective.has_score:
            raise ConfigurationError("objective= comes to no one number: write Objectives([...], combine='sum')")
        self.max_trials = max_trials
        self.allow_new_entries, self.tune_new_entries = allow_new_entries, tune_new_entries
        self.max_retries_per_trial = max_retries_per_trial
        self.max_consecutive_failed_trials = max_consecutive_failed_trials
        self.seed = new_seed() if seed is None else seed
        self.trials: dict[str, Trial] = {}
        given = hyperparameters.space if isinstance(hyperparameters, HyperParameters) else hyperparameters
        self.hyperparameters = HyperParameters(Space.of(given))
        self._failure = FailurePolicy(
            max_retries_per_trial=max_retries_per_trial, max_consecutive_failed_trials=max_consecutive_failed_trials
        )
        self._width = len(str(max_trials))
        self._ongoing: dict[str, str] = {}
        self._launches: dict[str, RunTrial] = {}
        self._later: dict[str, Parameter] = {}
        self._driver: Driver | None = None

    # ------------------------------------------------------------------------------------------------ to be overridden

    def populate_space(self, trial_id: str) -> Mapping[str, Any]:
        """Propose values for a trial: `{"status": "RUNNING", "values": {...}}`, or "IDLE" (nothing now: ask again when a
        trial has ended), or "STOPPED" (nothing is left)."""
        raise NotImplementedError(f"{type(self).__name__} must have a populate_space(trial_id)")

    def score_trial(self, trial: Trial) -> None:
        """Set `score` and `best_step` of a trial that is COMPLETED: the best of the objective's values, and its step."""
        curve = trial.metrics.curve(self.objective)
        found = [value for value in curve.values() if math.isfinite(value)]
        trial.score = self.objective.best(found) if found else (math.nan if curve else None)
        trial.best_step = next((step for step, value in curve.items() if found and value == trial.score), None)

    def begin(self, objective: Goal, seed: int, known: Known) -> None:
        """Called before everything else: what is wanted, and what is known of the trials, as it stands from then on."""
        self.objective, self.seed, self.known = objective, seed, known

    def ended(self, trial: TrialView) -> None:
        """A trial was COMPLETED, or FAILED."""

    # ------------------------------------------------------------------------------------------------------ ask and tell

    def create_trial(self, tuner_id: str) -> Trial:
        """The trial that this tuner is to run: the one that it has, or one to be run again, or a new one.

        With status IDLE there is none now, with STOPPED none any more; such a trial is not among `trials`.

        Raises:
            PluginError: `populate_space` raised, or returned what is no proposal.
        """
        if tuner_id in self._ongoing:
            return self.trials[self._ongoing[tuner_id]]
        driver = self._driver = self._driver or self._driven()
        order = driver.start()
        if order is None:
            status = TrialStatus.IDLE if driver.is_idle else TrialStatus.STOPPED
            return Trial(self.get_space(), self.trial_id(len(self.trials)), status)
        name = self.trial_id(order.trial)
        hyperparameters = HyperParameters(Space.of(order.space).grow(self._later), order.values, order.fill)
        for parameter in [*order.values, *self._later]:
            if parameter in hyperparameters:
                hyperparameters.get(parameter)
        trial = self.trials.setdefault(name, Trial(hyperparameters, name))
        trial.hyperparameters, trial.status, trial.message = hyperparameters, TrialStatus.RUNNING, None
        trial.metrics, trial.score, trial.best_step = MetricsTracker(), None, None
        self._ongoing[tuner_id] = name
        self._launches[name] = order
        self._grow({}, {})
        return trial

    def update_trial(self, trial_id: str, metrics: Mapping[str, Any], step: int = 0) -> Trial:
        """Report metrics of a trial that runs.

        Raises:
            ConfigurationError: there is no such trial, it does not run, or the metrics lack the objective.
            TypeError: a metric is no number.
        """
        self._order(trial_id)
        for each in self.objective.each:
            if each.name not in metrics:
                there = ", ".join(map(repr, metrics)) or "nothing"
                raise ConfigurationError(f"the objective {each.name!r} is not among the metrics; there is {there}")
        trial = self.trials[trial_id]
        for name, value in metrics.items():
            trial.metrics.update(name, value, step)
        return trial

    def end_trial(self, trial: Trial) -> None:
        """A trial has ended: its `status` is COMPLETED, INVALID (to be run again, while there are retries left) or FAILED, with
        a `message` that says why.

        One that is COMPLETED with a score that is no finite number is INVALID. It may then be FAILED: see its status.

        Raises:
            ConfigurationError: it does not run; its status says otherwise; it is COMPLETED and has no score; or it has named
                parameters that are not allowed.
            TooManyFailuresError: too many have failed one after the other. It is recorded all the same.
        """
        order = self._order(trial.trial_id)
        if trial.status not in _ENDS:
            raise ConfigurationError(f"trial {trial.trial_id} has status {trial.status!r}: one of {', '.join(_ENDS)} ends it")
        own = self.trials[trial.trial_id]
        own.hyperparameters, own.message = trial.hyperparameters, trial.message
        self._declare(own)
        ending = self._ending(own, order, TrialStatus(trial.status))
        driver = self._driver
        assert driver is not None  # noqa: S101 -- it has made the order
        self._ongoing = {tuner: name for tuner, name in self._ongoing.items() if name != own.trial_id}
        del self._launches[own.trial_id]
        running = driver.end is None
        driver.tell(lambda at: LaunchEnded(at=at, ending=ending))
        own.take(driver.machine.book.view(driver.machine.book.trials[order.trial]))
        if running and driver.end is not None and driver.end.error is not None:
            raise driver.end.as_error()

    def _ending(self, trial: Trial, order: RunTrial, status: TrialStatus) -> Ending:
        if status is TrialStatus.COMPLETED:
            self.score_trial(trial)
            if trial.score is None:
                text = f"trial {trial.trial_id} is COMPLETED, and nothing has told its {self.objective.name!r}"
                raise ConfigurationError(f"{text}: update_trial() it first")
            if math.isfinite(trial.score):
                metrics = trial.metrics.at(trial.best_step)
                return TrialReturned(trial=order.trial, launch=order.launch, metrics=metrics, step=trial.best_step)
            message = f"its {self.objective.name!r} is {trial.score}"
            failure = Failure(kind=FailureKind.INVALID_RESULT, message=message)
        else:
            said = trial.message or f"it was told to be {status.value}"
            message = bounded(lambda: said)
            failure = Failure(kind=FailureKind.RAISED, message=message, retry=status is TrialStatus.INVALID)
        return TrialRaised(trial=order.trial, launch=order.launch, failure=failure)

    # ------------------------------------------------------------------------------------------------------ what is known

    def get_trial(self, trial_id: str) -> Trial:
        """A trial that was started.

        Raises:
            ConfigurationError: there is none with this id.
        """
        if trial_id not in self.trials:
            raise ConfigurationError(f"there is no trial {trial_id!r}; there are {', '.join(self.trials) or 'none'}")
        return self.trials[trial_id]

    def get_best_trials(self, num_trials: int = 1) -> list[Trial]:
        """The best of those that are COMPLETED, best first; never others, however few there are."""
        scored = [trial for trial in self.trials.values() if trial.status == TrialStatus.COMPLETED and trial.score is not None]
        return sorted(scored, key=lambda trial: self.objective.loss(trial.score or 0.0))[:num_trials]

    def remaining_trials(self) -> int | None:
        """How many more may be started; None for any number."""
        return None if self.max_trials is None else self.max_trials - len(self.trials)

    def trial_id(self, number: int) -> str:
        """The id of a trial, from its number: as many digits as `max_trials` has, which stay as many."""
        return f"{number:0{self._width}d}"

    def get_space(self) -> HyperParameters:
        """The space, as far as it is known; a copy."""
        return asked(self.hyperparameters.space, {})

    def update_space(self, hyperparameters: HyperParameters) -> None:
        """Add parameters. Those that are known are left as they are.

        Raises:
            ConfigurationError: they are not allowed.
        """
        self._grow(hyperparameters.space, {})

    # ---------------------------------------------------------------------------------------------------------- its state

    def get_state(self) -> dict[str, Any]:
        """All that it knows, as JSON has it."""
        return {
            "records": [pack(record).hex() for record in (self._driver.records if self._driver is not None else ())],
            "metrics": {name: trial.metrics.get_state() for name, trial in self.trials.items()} if self._driver else {},
            "best_steps": {name: trial.best_step for name, trial in self.trials.items()} if self._driver else {},
            "seed": self.seed,
            "width": self._width,
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Stand where `get_state` stood; before the first trial is created. What was running then is run again, under its id.

        Raises:
            ConfigurationError: trials were created already.
        """
        if self._driver is not None:
            raise ConfigurationError("set_state() comes too late: trials were created already. Make a new oracle")
        if not state["records"]:
            return
        self.seed, self._width = state["seed"], state["width"]
        driver = self._driver = self._driven([unpack(bytes.fromhex(record)) for record in state["records"]])
        book = driver.machine.book
        for number in sorted(book.trials):
            view = book.view(book.trials[number])
            name = self.trial_id(number)
            trial = self.trials[name] = Trial(asked(driver.machine.space, view.values), name)
            trial.metrics = MetricsTracker.from_state(state["metrics"].get(name, {}))
            trial.best_step = state["best_steps"].get(name)
            trial.take(view)
        self.hyperparameters = HyperParameters(driver.machine.space)

    # ------------------------------------------------------------------------------------------------------------- inside

    def _driven(self, records: Any = ()) -> Driver:
        oracle = _ByHand(self)
        settings = Settings(
            objective=self.objective,
            seed=self.seed,
            space=self.hyperparameters.space,
            max_trials=self.max_trials,
            failure=self._failure,
            limits=Limits(),
            checkpoints=CheckpointPolicy(),
            resources=Resources(),
            slots=_SLOTS,
            ahead=0,
            fill=self.fill if self.tune_new_entries else FillRule.DEFAULT,
            hears_reports=False,
            oracle=fingerprint(oracle),
            scheduler=fingerprint(FIFO()),
        )
        return Driver(oracle, settings, records)

    def _order(self, trial_id: str) -> RunTrial:
        self.get_trial(trial_id)
        if trial_id not in self._launches:
            raise ConfigurationError(f"trial {trial_id} does not run: it is {self.trials[trial_id].status}")
        return self._launches[trial_id]

    def _declare(self, trial: Trial) -> None:
        """What a trial has asked for becomes known."""
        parameters, values = trial.hyperparameters.drain()
        self._grow(parameters, values, self._launches[trial.trial_id])

    def _grow(self, parameters: Mapping[str, Parameter], values: Mapping[str, Any], order: RunTrial | None = None) -> None:
        known = self.hyperparameters.space
        new = {name: parameter for name, parameter in parameters.items() if known.get(name) != parameter}
        if new and not self.allow_new_entries:
            names = ", ".join(map(repr, new))
            raise ConfigurationError(f"{names} is not among the hyperparameters, and allow_new_entries=False refuses others")
        if not self.tune_new_entries:
            values = {name: value for name, value in values.items() if name in known}
            new = {}
        self._later |= new
        if self._driver is None:
            self.hyperparameters = HyperParameters(Space.of(known).grow(self._later))
            self._later = {}
            return
        order = order or next(iter(self._launches.values()), None)
        if order is not None and (self._later or values):
            said = ParametersDeclared(trial=order.trial, launch=order.launch, parameters=self._later, values=values)
            self._later = {}
            self._driver.tell(lambda at: Heard(at=at, message=said))
            self.hyperparameters = HyperParameters(self._driver.machine.space)
