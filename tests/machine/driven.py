"""A machine driven by hand, and its shadow: a second machine with plugins of its own, which is only ever told the records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import evolve, fields_dict

from asynctune._engine.opening import fold
from asynctune._engine.record import Record, pack, unpack
from asynctune._machine.instructions import Instruction, StartLaunch
from asynctune._machine.machine import Decision, Machine
from asynctune._machine.stimuli import (
    Closed,
    Enqueued,
    Heard,
    LaunchEnded,
    LimitBroken,
    Opened,
    Settings,
    SlotGranted,
    Stimulus,
    StopTrialAsked,
    Suggested,
    Ticked,
)
from asynctune.events import Happening
from asynctune.failure import Failure, FailureKind
from asynctune.messages import (
    Answer,
    Breach,
    Died,
    Ending,
    FillRule,
    Lost,
    MetricsReported,
    ParametersDeclared,
    RunTrial,
    TrialLeft,
    TrialRaised,
    TrialReturned,
    What,
)
from asynctune.objective import Objective
from asynctune.policies import CheckpointPolicy, FailurePolicy, Limit, Limits, Resources
from asynctune.records import CheckpointKey, Observation, Suggestion, TrialView, Value, Values
from asynctune.schedulers import FIFO, Scheduler
from asynctune.space import Domain, Int, Parameter
from asynctune.stoppers import Stopper

__all__ = ["NO_LIMIT", "SPACE", "Driven", "answer", "failure", "plainly", "portrait", "settings"]

SPACE: Mapping[str, Domain] = {"x": Int(0, 99)}
NO_LIMIT = FailurePolicy(max_consecutive_failed_trials=None)


def settings(**changes: Any) -> Settings:
    """Plain settings, but for `changes`."""
    plain = Settings(
        objective=Objective("loss", "min"),
        seed=7,
        space=SPACE,
        max_trials=None,
        failure=FailurePolicy(),
        limits=Limits(),
        checkpoints=CheckpointPolicy(),
        resources=Resources(),
        slots=1,
        ahead=0,
        fill=FillRule.DRAW,
        hears_reports=False,
        oracle="SomeOracle({})",
        scheduler="SomeScheduler({})",
    )
    return evolve(plain, **changes)


def failure(message: str = "ValueError: no", **changes: Any) -> Failure:
    """A trainable that raised."""
    return Failure(kind=FailureKind.RAISED, message=message, **{"error_type": "ValueError", **changes})


def answer(trial: int, launch: int, step: int, stop: str | None = None, *, save: bool = False) -> Answer:
    """The answer to a report: go on, or stop and why, and whether a checkpoint is wanted first."""
    return Answer(trial=trial, launch=launch, step=step, what=What.GO if stop is None else What.STOP, reason=stop, save=save)


def plainly(view: TrialView) -> str:
    """A view in a form that can be compared: as text, for NaN is not equal to itself."""
    return repr([list(view.reports) if name == "reports" else getattr(view, name) for name in fields_dict(TrialView)])


def portrait(machine: Machine) -> dict[str, object]:
    """All of a machine's state that can make a difference to what it decides, in a form that can be compared."""
    book, asks, slots = machine.book, machine.asks, machine.slots
    return {
        "trials": [plainly(book.view(trial)) for trial in book.trials.values()],
        "inside": [
            repr((trial.launch, trial.used, dict(trial.proposed), trial.checkpoints, trial.mark, trial.held_by))
            + repr((trial.exploit, trial.exploits, trial.origin, trial.resources, trial.ready))
            for trial in book.trials.values()
        ],
        "live": list(book.live),
        "waiting": (machine.waiting.everyone(), dict(machine.waiting.delayed), machine.failures.histogram),
        "best": book.best.id if book.best is not None else None,
        "asks": (asks.asked, asks.in_flight, asks.idle, asks.exhausted),
        "slots": (slots.size, slots.requested, slots.held, +slots.wide),
        "pins": ({key: list(held) for key, held in machine.pins.held.items()}, list(machine.pins.doomed)),
        "claims": dict(machine.waiting.claims),
        "space": machine.space,
        "ending": (machine.ending, machine.draining),
        "flags": (machine.at, machine.opened, machine.over, machine.user_paused, machine.declined, machine.objective_seen),
    }


class Driven:
    """A machine driven by hand. Every move asserts the machine's invariants, and that the records alone lead to the same state.

    Args:
        make, stop: make the scheduler and the stoppers; each machine gets its own.
        **changes: to the settings.
    """

    def __init__(
        self,
        make: Callable[[], Scheduler] = FIFO,
        /,
        stop: Callable[[], Sequence[Stopper]] = tuple,
        **changes: Any,
    ) -> None:
        self.scheduler = make()
        self.machine = Machine(self.scheduler, stop())
        self.shadow = Machine(make(), stop())
        self.settings = settings(**changes)
        self.at = 0.0
        self.records: list[Record] = []
        self.decision = Decision(())
        self.orders: dict[int, RunTrial] = {}

    # ------------------------------------------------------------------------------------------------------- telling

    def tell(self, stimulus: Stimulus) -> list[Instruction]:
        """Tell it, and return what it answers."""
        was_over = self.machine.over
        self.decision = decision = self.machine.handle(stimulus)
        self.machine.check()
        assert decision.void or not was_over or isinstance(stimulus, Opened), "something was recorded behind the end"
        if decision.void:
            assert not decision.happened
        else:
            seq = len(self.records) + 1
            record = Record(seq=seq, stimulus=stimulus, happened=decision.happened, answers=decision.answers)
            self.records.append(record)
            fold(self.shadow, [unpack(pack(record))])
            self.shadow.check()
        assert portrait(self.shadow) == portrait(self.machine)
        assert self.shadow.consult.divergences == []
        for instruction in decision.instructions:
            if isinstance(instruction, StartLaunch):
                self.orders[instruction.order.trial] = instruction.order
        return list(decision.instructions)

    def open(
        self,
        *,
        gone: Sequence[CheckpointKey] = (),
        observed: Sequence[Observation] = (),
        first: Sequence[Values] = (),
        **changes: Any,
    ) -> list[Instruction]:
        """Open the search, for the first time or again, with these checkpoints not there any more."""
        self.settings = evolve(self.settings, **changes)
        opened = Opened(at=self.at, wall=1.5e9 + self.at, version="0", settings=self.settings, gone=tuple(gone))
        return self.tell(evolve(opened, observed=tuple(observed), first=tuple(first)))

    def grant(self) -> list[Instruction]:
        """Grant one slot."""
        return self.tell(SlotGranted(at=self.at))

    def suggest(self, suggestion: Suggestion | None = None, **values: Value) -> list[Instruction]:
        """Answer the oldest ask: with these values, or as it is said."""
        ask = min(self.machine.asks.in_flight)
        return self.tell(Suggested(at=self.at, ask=ask, suggestion=suggestion or Suggestion.run(values)))

    def start(self, **values: Value) -> RunTrial:
        """Have one more trial proposed and run. Returns its order."""
        if not self.machine.opened:
            self.open()
        if not self.machine.slots.held:
            self.grant()
        started = [i.order for i in self.suggest(None, **(values or {"x": 1})) if isinstance(i, StartLaunch)]
        return started[-1]

    def start_empty(self) -> RunTrial:
        """The same, for a trial that is given no values."""
        if not self.machine.slots.held:
            self.grant()
        (started,) = [i.order for i in self.suggest(Suggestion.run({})) if isinstance(i, StartLaunch)]
        return started

    def declare(self, trial: int, parameters: Mapping[str, Parameter], **values: Value) -> list[Instruction]:
        """The trial's launch declares parameters."""
        launch = self.orders[trial].launch
        message = ParametersDeclared(trial=trial, launch=launch, parameters=parameters, values=values)
        return self.tell(Heard(at=self.at, message=message))

    def report(self, trial: int, step: int, *, checkpoint: bool = False, **metrics: float) -> list[Instruction]:
        """The trial's launch reports."""
        launch = self.orders[trial].launch
        key = CheckpointKey(trial, step, launch) if checkpoint else None
        message = MetricsReported(trial=trial, launch=launch, step=step, metrics=metrics, clock=self.at, checkpoint=key)
        return self.tell(Heard(at=self.at, message=message))

    def end(self, kind: Callable[..., Ending], trial: int, **said: Any) -> list[Instruction]:
        """The trial's launch ends."""
        return self.tell(LaunchEnded(at=self.at, ending=kind(trial=trial, launch=self.orders[trial].launch, **said)))

    def broke(self, trial: int, limit: Limit, amount: float) -> list[Instruction]:
        """The trial's launch breaks a limit."""
        breach = Breach(trial=trial, launch=self.orders[trial].launch, limit=limit, amount=amount)
        return self.tell(LimitBroken(at=self.at, breach=breach))

    def returned(self, trial: int, **metrics: float) -> list[Instruction]:
        """The trial returns metrics; nothing at all, if none are given."""
        return self.end(TrialReturned, trial, metrics=metrics or None)

    def raised(self, trial: int, message: str = "ValueError: no", **changes: Any) -> list[Instruction]:
        """The trial raises."""
        return self.end(TrialRaised, trial, failure=failure(message, **changes))

    def died(self, trial: int, **how: Any) -> list[Instruction]:
        """The trial's process ends."""
        return self.end(Died, trial, **how)

    def left(self, trial: int) -> list[Instruction]:
        """The trial stops because it was told to."""
        return self.end(TrialLeft, trial)

    def lost(self, trial: int, reason: str = "the zygote died") -> list[Instruction]:
        """The launch is lost."""
        return self.end(Lost, trial, reason=reason)

    def tick(self, at: float) -> list[Instruction]:
        """It is `at` now."""
        self.at = at
        return self.tell(Ticked(at=at))

    def stop_trial(self, trial: int, reason: str = "enough") -> list[Instruction]:
        """The user ends a trial."""
        return self.tell(StopTrialAsked(at=self.at, trial=trial, reason=reason))

    def enqueue(self, **values: Value) -> list[Instruction]:
        """The user adds a trial."""
        return self.tell(Enqueued(at=self.at, values=values))

    def close(self) -> list[Instruction]:
        """The search is closed."""
        return self.tell(Closed(at=self.at))

    # ------------------------------------------------------------------------------------------------------- looking

    def happened(self) -> tuple[Happening, ...]:
        """What followed from what it was told last."""
        return self.decision.happened

    def view(self, trial: int) -> TrialView:
        """The trial as it stands."""
        return self.machine.book.view(self.machine.book.trials[trial])
