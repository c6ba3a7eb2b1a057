"""Whole searches on a virtual clock, as fast as the machine can be told.

There are no threads, no processes and no event loop: a heap of what happens next, around the machine that real searches have.
So a worker more costs nothing but its trials' reports. What `SimulatedSearch` is for, the engine's own loop with all that can
go wrong between its parts, is left out here.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from asynctune._engine.caller import Caller, History
from asynctune._engine.journal import DiskJournal
from asynctune._machine.machine import Machine
from asynctune._machine.stimuli import Opened, Settings
from asynctune.errors import ConfigurationError
from asynctune.installed import named
from asynctune.messages import FillRule
from asynctune.objective import Goal
from asynctune.oracles.base import Oracle
from asynctune.policies import CheckpointPolicy, FailurePolicy, Limits, Parking, Resources
from asynctune.records import TrialId, TrialView
from asynctune.request import fingerprint
from asynctune.schedulers.base import Scheduler
from asynctune.schedulers.fifo import FIFO
from asynctune.stoppers import Stopper, ready
from asynctune.testing.conditions import Conditions
from asynctune.testing.faults import Faults
from asynctune.testing.heap import Run
from asynctune.testing.workloads import Workload
from asynctune.validators import flag, number

__all__ = ["Simulation", "Simulator"]

_ELSEWHERE = ("node", "echoes", "late", "slow_disk", "full_disk", "slow_oracle", "gone")


@frozen(kw_only=True)
class Simulation:
    """What came of a simulated search.

    Args:
        trials: by id, each made when it is looked at.
        best: the COMPLETED trial with the best finite score, if there is one.
        reason: why it ended; None if it was left before, by `run(until=..., target=...)`.
        at: virtual seconds that it took.
        events: how many stimuli the machine was told.
        steps: how many steps were reported, those that were repeated too.
        occupied: the share of the workers' time in which they had a trial.
        path: whenever a report was better than all before it: (when, its value).
    """

    trials: Mapping[TrialId, TrialView]
    best: TrialView | None
    reason: str | None
    at: float
    events: int
    steps: int
    occupied: float
    path: Sequence[tuple[float, float]]
    objective: Goal

    def reached(self, target: float) -> float | None:
        """When a report was first as good as `target`, in virtual seconds; None if none ever was."""
        return next((at for at, value in self.path if not self.objective.better(target, value)), None)


def _scheduler(given: Any) -> Any:
    return named("scheduler", given) if isinstance(given, str) else given


def _path(given: Any) -> Path | None:
    if given is None:
        return None
    if not isinstance(given, str | Path) or not str(given):
        raise ConfigurationError(f"Simulator(storage=...) takes a directory, or None for no journal, not {given!r}")
    return Path(given)


def _is(kind: type, *, optional: bool = False) -> Any:
    def check(_: object, attribute: Any, value: Any) -> None:
        if not (isinstance(value, kind) or (value is None and optional)):
            raise ConfigurationError(f"Simulator({attribute.name}=...) takes an object of {kind.__name__}, not {value!r}")

    return check


@define(kw_only=True, eq=False)
class Simulator:
    """A search whose trials follow the curves of a workload, on a virtual clock. The machine is the one that real searches
    have, with all that it asks of schedulers, stoppers and oracles; the same arguments give the same records.

    What is passed is a recipe: schedulers and oracles are copied, and a simulator can be run again.

    Args:
        workload: what trials do.
        scheduler, stop, failure, limits, checkpoints, parking, max_trials: as `search()` takes them; of the limits,
            `trial_time` is kept.
        resources: of each worker. A trial that the scheduler gives more takes several of them, and is no faster for it.
        oracle: who proposes; None for the workload itself: a table's rows in an order that the seed draws, or random draws.
        workers: how many trials run at once.
        seed: of everything that is drawn: proposals, stragglers.
        conditions: what launches cost beside their steps.
        faults: what befalls launches, drawn from a seed of its own: those that die, hang, are lost, or lost together.
        storage: a directory for a journal, as a real search writes it; None for none. It must hold none.
        check: assert the machine's invariants after every stimulus, which takes time for every trial.

    Raises:
        ConfigurationError: an argument is of the wrong type or size, a fault is of what is not simulated here, or a trial can
            hang and nothing would end it.
    """

    workload: Workload = field(validator=_is(Workload))
    scheduler: Scheduler = field(factory=FIFO, converter=_scheduler, validator=_is(Scheduler))
    oracle: Oracle | None = field(default=None, validator=_is(Oracle, optional=True))
    stop: Any = None
    workers: int = field(default=1, validator=number(1, integer=True))
    max_trials: int | None = field(default=None, validator=number(1, integer=True, optional=True))
    seed: int = field(default=0, validator=number(0, integer=True))
    failure: FailurePolicy = field(factory=FailurePolicy, validator=_is(FailurePolicy))
    limits: Limits = field(factory=Limits, validator=_is(Limits))
    checkpoints: CheckpointPolicy = field(factory=CheckpointPolicy, validator=_is(CheckpointPolicy))
    parking: Parking = field(factory=Parking, validator=_is(Parking))
    resources: Resources = field(factory=Resources, validator=_is(Resources))
    conditions: Conditions = field(factory=Conditions, validator=_is(Conditions))
    faults: Faults = field(factory=Faults, validator=_is(Faults))
    storage: Path | None = field(default=None, converter=_path)
    check: bool = field(default=False, validator=flag)
    _stoppers: Sequence[Stopper] = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._stoppers = [ready(copy.deepcopy(each), self.workload.objective) for each in _listed(self.stop)]
        default = Faults()
        for name in _ELSEWHERE:
            if getattr(self.faults, name) != getattr(default, name):
                hint = "SimulatedSearch has the engine's own loop, and all of them"
                raise ConfigurationError(f"Simulator(faults=Faults({name}=...)): here only launches meet with faults; {hint}")
        if self.faults.hangs and self.limits.trial_time is None:
            raise ConfigurationError(
                "Simulator(faults=Faults(hangs=...)) needs limits=Limits(trial_time=...): it would never end"
            )
        if self.max_trials is None and self.workload.size is None and not self.stop and self.oracle is None:
            raise ConfigurationError(f"{self.workload.name} has no end: give max_trials=, or a stopper, to Simulator()")

    def run(self, until: float = math.inf, target: float | None = None) -> Simulation:
        """Run it to its end, for so many virtual seconds, or until a report is as good as this value.

        Raises:
            PluginError: the oracle, the scheduler or a stopper failed.
            AsynctuneError: what a real search would have ended with.
            StorageError: the journal cannot be written.
            AssertionError: an invariant does not hold, with `check`.
        """
        scheduler = copy.deepcopy(self.scheduler)
        machine = Machine(scheduler, [copy.deepcopy(each) for each in self._stoppers])
        caller = None if self.oracle is None else Caller(copy.deepcopy(self.oracle))
        settings = self._settings()
        journal = None if self.storage is None else DiskJournal(self.storage, self._check_new)
        try:
            if caller is not None:
                caller.begin(History([], {}, settings.objective, self.seed, space=self.workload.space))
            run = Run(
                machine=machine,
                workload=self.workload,
                caller=caller,
                conditions=self.conditions,
                faults=None if self.faults == Faults() else self.faults,
                journal=journal,
                seed=self.seed,
                workers=self.workers,
                check=self.check,
                until=until,
                target=target,
            )
            run.drive(Opened(at=0.0, wall=0.0, version="simulated", settings=settings))
        finally:
            if caller is not None:
                caller.close()
            if journal is not None:
                journal.close()
        if run.end is not None and run.end.error is not None:
            raise run.end.as_error()
        return self._told(run)

    def _told(self, run: Run) -> Simulation:
        book = run.machine.book
        return Simulation(
            trials=book.views,
            best=None if book.best is None else book.view(book.best),
            reason=None if run.end is None else run.end.reason,
            at=run.now,
            events=run.events,
            steps=run.steps,
            occupied=run.occupied / (self.workers * run.now) if run.now else 0.0,
            path=run.path,
            objective=self.workload.objective,
        )

    def _settings(self) -> Settings:
        oracle, space = self.oracle, self.workload.space
        proposes = f"{type(self.workload).__name__}({json.dumps(self.workload.name)})"
        return Settings(
            objective=self.workload.objective,
            seed=self.seed,
            space=dict(space),
            max_trials=self.max_trials,
            failure=self.failure,
            limits=self.limits,
            checkpoints=self.checkpoints,
            resources=self.resources,
            parks=self.conditions.parks,
            parking=self.parking,
            slots=self.workers,
            ahead=0 if oracle is None else oracle.ahead,
            fill=FillRule.DRAW if oracle is None else oracle.fill,
            learns=oracle is not None and oracle.learns,
            hears_reports=oracle is not None and oracle.hears_reports,
            oracle=proposes if oracle is None else fingerprint(oracle),
            scheduler=fingerprint(self.scheduler),
            **space.terms,
        )

    @staticmethod
    def _check_new(found: Settings | None) -> None:
        if found is not None:
            raise ConfigurationError("Simulator(storage=...): there is a search already; give a directory that holds none")


def _listed(stop: Any) -> Sequence[Any]:
    if stop is None:
        return ()
    return stop if isinstance(stop, list | tuple) else [stop]
