"""The schedule of values that population based training has found, for one trial, once more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from attrs import define, field

from asynctune.errors import ConfigurationError
from asynctune.records import Exploit, Report, TrialId, TrialView, Values, Verdicts
from asynctune.schedulers.base import Scheduler
from asynctune.schedulers.losses import counted

__all__ = ["PopulationBasedTrainingReplay"]


def _trials(given: Any) -> Mapping[TrialId, TrialView]:
    trials = getattr(given, "trials", given)
    if not isinstance(trials, Mapping) or not all(isinstance(each, TrialView) for each in trials.values()):
        wanted = "a Result, or its trials"
        raise ConfigurationError(f"PopulationBasedTrainingReplay(policy=...) takes {wanted}, not {given!r}")
    return trials


@define(kw_only=True, eq=False, slots=False)
class PopulationBasedTrainingReplay(Scheduler):
    """Repeats what became of one trial of a population, as Ray Tune's scheduler of that name: with the values that led to its
    weights, changed at the steps at which they were changed, and without the rest of the population. (Population Based
    Training: Jaderberg et al., arXiv:1711.09846, 2017.)

    What a trial has come to is no work of its own alone: it went on from the weights of others, and these from those of others
    again. `schedule` follows that back to the start. The first values are yours to give, for they are not a scheduler's:

        result = at.Result.read("runs/population")
        replay = at.schedulers.PopulationBasedTrainingReplay(policy=result)
        at.run(train, scheduler=replay, try_first=[replay.first], max_trials=1, ...)

    At a report at such a step, or beyond, the trial goes on with the next values from its own newest checkpoint. So it needs
    checkpoints, as the population did, best at the same steps; as long as it has none, the change waits. Values that were
    computed from others are computed again.

    Args:
        policy: the result of the search, or its trials by their ids. `Result.read(directory)` reads one.
        trial: whose schedule; by default the best one's, which needs a result.

    Attributes:
        schedule: (step, values) for each change, the first from step 0.

    Raises:
        ConfigurationError: it is no result, there is no such trial, or no best one.
    """

    exploits: ClassVar[bool] = True

    policy: Any = field(repr=False)
    trial: TrialId | None = None
    schedule: tuple[tuple[int, Values], ...] = field(init=False)
    # How many changes each live trial has made.
    _made: dict[TrialId, int] = field(init=False, factory=dict, repr=False)

    def __attrs_post_init__(self) -> None:
        trials = _trials(self.policy)
        if self.trial is None:
            best = getattr(self.policy, "best_trial", None)
            if best is None:
                who = "PopulationBasedTrainingReplay(policy=...)"
                raise ConfigurationError(f"{who} has no best trial: say which one with trial=")
            self.trial = best.id
        if self.trial not in trials:
            known = f"there are {counted(len(trials), 'trial')}"
            raise ConfigurationError(f"PopulationBasedTrainingReplay(trial={self.trial!r}) is none: {known}")
        self.schedule = tuple(_followed(trials, self.trial))
        self.policy = None  # the rest of it is not needed, and may be large

    @property
    def first(self) -> Values:
        """The values to begin with, for `try_first=[replay.first]`."""
        return self.schedule[0][1]

    def on_trial_add(self, trial: TrialView) -> Verdicts:
        """It must begin as the schedule does.

        Raises:
            ConfigurationError: it has other values. A search ends with a PluginError that says the same.
        """
        other = [name for name, value in trial.values.items() if name in self.first and self.first[name] != value]
        if other:
            what = f"trial {trial.id} has another {other[0]!r} than the schedule begins with"
            raise ConfigurationError(f"{what}: give try_first=[replay.first] and max_trials=1")
        return None

    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        """Have the values changed, if it is time."""
        made = self._made.get(trial.id, 0)
        reached = sum(step <= report.step for step, _ in self.schedule) - 1
        if reached <= made or trial.checkpoint is None:
            return None
        self._made[trial.id] = reached
        return Exploit(trial.id)

    def explore(self, trial: TrialView, source: TrialView, seed: int) -> Mapping[str, Any]:
        """The next values."""
        _, values = self.schedule[self._made[trial.id]]
        return {name: value for name, value in values.items() if name not in self.space.derived}

    def on_trial_complete(self, trial: TrialView) -> Verdicts:
        """Nothing more is to be changed."""
        self._made.pop(trial.id, None)
        return None

    def on_trial_error(self, trial: TrialView) -> Verdicts:
        """Nothing more is to be changed."""
        return self.on_trial_complete(trial)

    def plan(self) -> str:
        """The values, and from which steps on."""
        lines = [f"replay of trial {self.trial}: {counted(len(self.schedule) - 1, 'change')} of values"]
        for step, values in self.schedule:
            told = ", ".join(f"{name}={value!r}" for name, value in values.items())
            lines.append(f"  {f'after step {step}' if step else 'at first'}: {told or 'no values'}")
        return "\n".join(lines)

    def settings(self) -> Mapping[str, Any]:
        """What makes it judge as it does."""
        return {"trial": self.trial, "schedule": [[step, dict(values)] for step, values in self.schedule]}


def _followed(trials: Mapping[TrialId, TrialView], trial: TrialId) -> Sequence[tuple[int, Values]]:
    """The schedule behind what a trial has come to, followed back from its end through those that it went on as."""
    found: list[tuple[int, Values]] = []
    before: int | None = None  # the launch of the trial that is looked at, up to which it counts
    while True:
        lineage = trials[trial].lineage
        origins = [origin for origin in lineage if before is None or origin.launch <= before]
        if not origins:
            found.append((0, lineage[0].before if lineage else trials[trial].values))
            return found[::-1]
        last = origins[-1]
        found.append((last.checkpoint.step, last.values))
        trial, before = last.checkpoint.trial, last.checkpoint.launch
