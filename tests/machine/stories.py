"""Simulated searches of every kind, each made by its seed alone: the same seed tells the same story."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import define, evolve, field, frozen

from asynctune.errors import FailedTrialError
from asynctune.failure import Failure, FailureKind
from asynctune.messages import Died, RunTrial, TrialLeft
from asynctune.objective import Objective
from asynctune.oracles import GridSearch, Oracle, RandomSearch
from asynctune.policies import CheckpointPolicy, FailurePolicy, Parking, Resources
from asynctune.records import PAUSE, Exploit, Metrics, Reallocate, Report, State, Suggestion, TrialId, TrialView, Verdicts
from asynctune.records import (
    Choice as Pick,
)
from asynctune.schedulers import ASHA, FIFO, MedianStopping, Scheduler
from asynctune.seeds import derive, generator
from asynctune.space import Boolean, Choice, Float, HyperParameters, Int, Space
from asynctune.stoppers import MaxSteps, Stopper
from asynctune.testing import Behaviour, SimulatedSearch
from asynctune.views import SearchView

__all__ = ["Copycat", "Promoter", "Story", "outcome", "story"]


@define(eq=False, slots=False)
class Climber(Oracle):
    """An oracle that learns: it goes on from the best that it was told of. It hears reports, too."""

    heard: int = 0
    best: tuple[float, Mapping[str, Any]] | None = None

    def populate_space(self, trial_id: TrialId, space: Space) -> Suggestion:
        if trial_id and self.best is None and self.heard % 5 == 4:
            return Suggestion.idle()
        values = space.sample(derive(self.seed, trial_id, self.heard))
        if self.best is not None and trial_id % 2:
            name = sorted(values)[trial_id % len(values)]
            values = {**values, name: self.best[1].get(name, values[name])}
        return Suggestion.run(values)

    def on_trial_result(self, trial: TrialView, report: Report) -> None:
        self.heard += 1

    def on_trial_end(self, trial: TrialView) -> None:
        if trial.score is not None and (self.best is None or self.objective.better(trial.score, self.best[0])):
            self.best = trial.score, dict(trial.values)
        self.heard = 0


@define(eq=False, slots=False)
class Keeper(Climber):
    """The same, with a state to be stored and restored."""

    def get_state(self) -> Mapping[str, Any]:
        return {"heard": self.heard, "best": None if self.best is None else [self.best[0], self.best[1]]}

    def set_state(self, state: Mapping[str, Any]) -> None:
        self.heard = state["heard"]
        self.best = None if state["best"] is None else (state["best"][0], state["best"][1])


class Promoter(Scheduler):
    """Sets every trial aside at step 2, and takes the best of three on."""

    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        return PAUSE if report.step == 2 else None

    def choose_trial_to_run(self, search: SearchView) -> Pick:
        paused = [trial for trial in search.trials.values() if trial.state is State.PENDING and trial.step == 2]
        if len(paused) < 3:
            return "NEW"
        return min(paused, key=lambda trial: (self.objective.loss(trial.reports[-1].metrics["loss"]), trial.id)).id


@define(eq=False, slots=False)
class Copycat(Scheduler):
    """A population in small: each second step, whoever is not the best goes on as the best that was seen. Every third trial
    gets more cores at step 3, where there may be any."""

    exploits = reallocates = True

    cores: int = 1
    seen: dict[TrialId, float] = field(factory=dict)

    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        loss = self.objective.loss(report.metrics[self.objective.name])
        self.seen[trial.id] = loss
        best = min(self.seen, key=lambda number: (self.seen[number], number))
        if report.step % 2 == 0 and best != trial.id and len(trial.lineage) < 3:
            return Exploit(best)
        if report.step == 3 and trial.id % 3 == 0 and trial.resources is None:
            return Reallocate(Resources(cpu=self.cores))
        return None

    def explore(self, trial: TrialView, source: TrialView, seed: int) -> Mapping[str, Any]:
        return {"n": 1 + seed % 3} if "n" in source.values else {}


ORACLES: Sequence[Callable[[], Oracle]] = (RandomSearch, GridSearch, lambda: GridSearch(points=3), Climber, Keeper)
PARKINGS = [Parking(), Parking(max_trials=0), Parking(max_trials=1), Parking(max_memory="4 MiB"), Parking(max_trials=2)]
SCHEDULERS: Sequence[Callable[[], Scheduler]] = (
    FIFO,
    Promoter,
    lambda: MedianStopping(min_samples=1),
    lambda: MedianStopping(grace=2, min_samples=2),
    lambda: ASHA(max_steps=6, factor=2),
    lambda: ASHA(max_steps=4, grace=2, factor=2, stop_last=False),
)
SPACES: Sequence[Mapping[str, Any]] = (
    {"x": Float(0, 1), "n": Int(1, 4)},
    {"x": Float(0.001, 1, sampling="log"), "deep": {"k": Choice(["a", "b"])}},
    {"n": Int(1, 3), "flag": Boolean()},
)


@frozen(kw_only=True)
class Story:
    """How one search is set up, and how its trials fare.

    Args:
        luck: what everything that happens is drawn from.
        steps: how many a trial takes. troubled: the share of attempts that come to grief.
        names: whether trials name parameters that the space does not declare.
        strides: an attempt reports every step, or every second, ...: one of these.
    """

    luck: int
    oracle: Callable[[], Oracle]
    scheduler: Callable[[], Scheduler]
    stoppers: Sequence[Stopper]
    space: Mapping[str, Any] | None
    names: bool
    objective: Objective
    workers: int
    max_trials: int
    failure: FailurePolicy
    checkpoints: CheckpointPolicy
    parking: Parking
    saves: bool
    steps: int
    troubled: float
    takes: Sequence[float]
    strides: Sequence[int] = (1,)

    @property
    def learns(self) -> bool:
        """Whether what is proposed depends on what was found before."""
        return isinstance(self.oracle(), Climber)

    def search(self, records: Sequence[Any] = (), **changes: Any) -> SimulatedSearch:
        """The search; from these records on."""
        settings = {
            "script": self.script,
            "oracle": self.oracle(),
            "scheduler": self.scheduler(),
            "stoppers": self.stoppers,
            "space": self.space,
            "objective": self.objective,
            "seed": self.luck,
            "workers": self.workers,
            "max_trials": self.max_trials,
            "failure": self.failure,
            "checkpoints": self.checkpoints,
            "parking": self.parking,
            "ask_takes": self.takes[0],
            "start_takes": self.takes[1],
            "leave_takes": self.takes[2],
            "records": list(records),
        }
        return SimulatedSearch(**{**settings, **changes})

    def rng(self, *about: int | str) -> random.Random:
        return generator(self.luck, *about)

    def script(self, order: RunTrial, hp: HyperParameters) -> Behaviour:
        """One launch: what it names, reports and comes to depends on trial, attempt and step, and not on how often it began."""
        level = self.ask(hp)
        fate = self.rng("fate", order.trial, order.attempt)
        troubled, trouble, last = fate.random() < self.troubled, fate.randrange(7), fate.randint(0, self.steps)
        if not troubled:
            trouble, last = -1, self.steps
        if trouble == 0:
            raise FailedTrialError("not these values")
        reports, stride = [], self.rng("stride", order.trial, order.attempt).choice(self.strides)
        for step in range(order.step + stride, last + 1, stride):
            luck = self.rng("step", order.trial, order.attempt, step)
            value = math.nan if luck.random() < self.troubled / 10 else level + luck.random() / step
            reports.append((luck.choice([0.0, 0.5, 1.0, 7.0]), {self.objective.name: value, "other": float(step)}))
        endings: list[Metrics | Failure | Died | TrialLeft | None] = [
            None,
            Failure(kind=FailureKind.RAISED, message="ValueError: no", error_type="ValueError"),
            Died(trial=0, launch=0, exit_code=1),
            Died(trial=0, launch=0, signal=11),
            {self.objective.name: math.nan},
            {self.objective.name: math.inf},
            TrialLeft(trial=0, launch=0, infeasible="too large"),
        ]
        returned = {self.objective.name: level} if order.trial % 2 else None
        ending = endings[trouble] if troubled else returned
        memory = self.rng("memory", order.trial).choice([0, 1, 3, 5]) * 2**20
        return Behaviour(reports=reports, stride=stride, ending=ending, checkpoints=self.saves, lasts=0.25, memory=memory)

    def ask(self, hp: HyperParameters) -> float:
        """Ask for some parameters, those of one branch or of another, and return what level they lead to."""
        values = (hp.get(name) for name in ("x", "n") if name in hp)
        level = sum(value for value in values if isinstance(value, int | float))
        if self.names and hp.Boolean("branch"):
            level += hp.Float("rate", 0, 1)
        elif self.names:
            level += 0.1 * hp.Int("units", 1, 3)
        return level


def _policy(seed: int, retries: int, limit: int | None) -> FailurePolicy:
    """A failure policy with these numbers; the rest of it is drawn from luck of its own."""
    rng = generator(seed, "policy")
    return FailurePolicy(
        max_retries_per_trial=retries,
        max_consecutive_failed_trials=limit,
        delay=rng.choice([0.0, 0.0, 0.5, 4.0]) if retries else 0.0,
        retry_from=rng.choice(["checkpoint", "checkpoint", "start"]) if retries else "checkpoint",
        rules=rng.choice([{}, {}, {Exception: "fail"}, {FailureKind.KILLED: "fail"}]),
        non_finite=rng.choice(["fail", "fail", "worst"]),
    )


def story(seed: int, **changes: Any) -> Story:
    """The story of a seed; `changes` to how it is set up."""
    rng = random.Random(seed)
    names = rng.random() < 0.4
    oracle, scheduler = ORACLES[seed % len(ORACLES)], SCHEDULERS[seed // len(ORACLES) % len(SCHEDULERS)]
    declared = rng.choice(SPACES)
    made = Story(
        luck=seed,
        oracle=oracle,
        scheduler=scheduler,
        stoppers=rng.choice([(), (), (MaxSteps(3),)]),
        space=None if names and rng.random() < 0.5 and not isinstance(oracle(), Climber) else declared,
        names=names,
        objective=Objective("loss", rng.choice(["min", "max"]), rng.choice(["last", "best"])),
        workers=rng.randint(1, 4),
        max_trials=rng.randint(3, 10),
        failure=_policy(seed, rng.randint(0, 2), rng.choice([None, None, 2, 3])),
        checkpoints=CheckpointPolicy(keep=rng.choice([1, 2, None])),
        parking=generator(seed, "parking").choice(PARKINGS),
        saves=rng.random() < 0.5,
        steps=rng.randint(1, 7),
        troubled=rng.choice([0.0, 0.2, 0.5]),
        takes=[rng.choice([0.0, 0.1, 3.0]) for _ in range(3)],
    )
    return evolve(made, **changes)


def outcome(search: SimulatedSearch) -> dict[TrialId, str]:
    """What every trial came to; all that does not depend on how often and when it began.

    How many proposals were prepared for later, when a search ends before its time, is a question of when.
    """
    return {number: _told(view) for number, view in search.trials.items() if view.launches or view.state.ended}


def _told(view: TrialView) -> str:
    reports = [(report.step, report.metrics) for report in view.reports]
    failure = evolve(view.failure, traceback=None) if view.failure is not None else None
    return repr([view.state, view.values, view.score, view.stop_reason, view.attempt, view.metrics, failure, reports])
