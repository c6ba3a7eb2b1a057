"""Journals as each released schema wrote them, and what they must be read as for ever.

    python -m tests.journal.golden DIRECTORY

writes those of this version into DIRECTORY/<schema>. It is run once for a schema, before its release; what is in
`tests/journal/golden` is never written again. One journal is of a real search that was killed; the others are simulated, or
driven by hand, and have between them every kind of thing that a journal can hold.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from enum import Enum
from pathlib import Path
from typing import Any

import attrs
from attrs import evolve

import asynctune as at
from asynctune._engine.database import SCHEMA_VERSION
from asynctune._engine.journal import read_records
from asynctune._engine.opening import fold
from asynctune._engine.record import Record
from asynctune._machine.machine import Machine
from asynctune._machine.stimuli import (
    ExecutorFailed,
    Heard,
    OracleFailed,
    PauseAsked,
    ResumeAsked,
    SlotGranted,
    StopAsked,
    Suggested,
    WorkersSet,
)
from asynctune.failure import FailureKind
from asynctune.messages import FillRule, MetricsReported, TrialLeft, TrialRaised
from asynctune.objective import Constraint, Objectives
from asynctune.policies import CheckpointPolicy, FailurePolicy, Limit, Limits, Resources
from asynctune.records import (
    PAUSE,
    CheckpointKey,
    Exploit,
    Observation,
    Reallocate,
    Report,
    State,
    Suggestion,
    TrialView,
    Verdicts,
)
from asynctune.schedulers import ASHA, FIFO, Scheduler
from asynctune.space import Boolean, Case, Cases, Choice, Condition, Fixed, Float, Int, Normal
from asynctune.stoppers import TimeBudget
from asynctune.testing.killing import killed_at
from asynctune.wire import plain, typed
from tests.journal.written import write
from tests.machine.driven import Driven
from tests.machine.driven import failure as failed
from tests.machine.test_faulted import endured
from tests.machine.test_parking import history as parked

__all__ = ["GOLDEN", "LIVED", "SEEDS", "kinds", "lived", "read_as", "views"]

GOLDEN = Path(__file__).with_name("golden")
SEEDS = [66, 42, 69, 202]  # of three hundred, the fewest that have among them all that any has
LIVED = "lived"
TRIALS = 8


# --------------------------------------------------------------------------------------------- a search that was killed


def train(trial: Any) -> float | None:
    """Reports, saves, and fails now and then, by its values alone."""
    rate, layers = trial.hp.Float("rate", 0.001, 1.0, sampling="log"), trial.hp.Int("layers", 1, 3)
    if layers == 2 and trial.attempt == 1:
        os._exit(3)  # and no traceback, which would have this machine's paths in it
    for step in range(trial.step + 1, 4):
        with trial.checkpoint() as directory:
            (directory / "step").write_text(str(step))
        trial.report(step=step, loss=rate / step)
    return None


def lived(storage: Path, *, cut_after: int | None = None) -> None:
    """The search, killed after so many commits, or to its end."""
    with killed_at("told", cut_after) if cut_after is not None else nullcontext():
        at.run(
            train, objective=at.Objective("loss", "min"), max_trials=TRIALS, storage=storage, display=False, seed=5,
            executor=at.LocalExecutor(2), scheduler=ASHA(max_steps=3), failure=FailurePolicy(max_retries_per_trial=1),
        )  # fmt: skip


# ----------------------------------------------------------------------------------------------------- driven by hand


def commanded() -> Sequence[Record]:
    """Everything that a user can ask for, every limit broken, every kind of death."""
    driven = Driven(
        failure=FailurePolicy(
            max_retries_per_trial=1, max_consecutive_failed_trials=0.75, delay=0.5, max_delay=9.0, jitter=0.25, factor=3.0,
            rules={"ValueError": "fail", FailureKind.KILLED: "retry"}, non_finite="worst", retry_from="start",
        ),
        limits=Limits(
            trial_time=60.0, silence=30.0, start_up=20.0, memory=10**9, processes=9, log=10**6, grace=1.0,
        ),
        checkpoints=CheckpointPolicy(keep=2), resources=Resources(cpu=2), slots=4,
        space={
            "a/x": Int(1, 100, step=3, default=4), "b": Float(1e-4, 1.0, sampling="log"), "c": Boolean(),
            "d": Choice(["one", 2, 3.0, None, True]), "e": Float(-1.0, 1.0, step=0.5),
            "f": Fixed("same"), "g": Cases([Case((Condition("c", [True]), Condition("e", [0.5, 1.0])), Int(1, 3))]),
            "h": Int(16, 64, sampling="log", quantum=16), "i": Normal(0.0, 1.0, step=0.5), "j": Choice(["x", "y"], grid=True),
        },
        derived={"k": "job.total"}, forbidden=({"a/x": (1,), "c": (True,)},), feasible=("job.fits",),
        max_trials=30, fill=FillRule.DEFAULT, hears_reports=True, logs=True,
    )  # fmt: skip
    values: Mapping[str, Any] = {
        "a/x": 4,
        "b": 0.01,
        "c": True,
        "d": "one",
        "e": 0.5,
        "f": "same",
        "g": 2,
        "h": 16,
        "i": 0.5,
        "j": "y",
        "k": 11,
    }
    driven.open()
    driven.tell(WorkersSet(at=0.0, slots=9))
    for _ in range(9):
        driven.grant()
    for _ in range(9):
        driven.suggest(None, **values)
    driven.declare(0, {"late": Int(0, 3)}, late=2)
    branches = [Case((Condition("late", [late]),), domain) for late, domain in ((2, Boolean()), (3, Int(5, 7)))]
    driven.declare(0, {"branch": Cases(branches[:1])}, branch=True)
    driven.declare(0, {"branch": Cases(branches)}, branch=True)
    driven.report(0, 1, loss=0.1, nan=float("nan"), inf=float("-inf"))
    driven.report(0, 2, loss=0.2, checkpoint=True)
    for trial, limit in enumerate(Limit, start=1):
        driven.broke(trial, limit, 61.5)
        driven.left(trial)
    for trial in range(1, 1 + len(Limit)):
        if driven.view(trial).state is State.RUNNING:
            driven.died(trial, exit_code=None, signal=9, log="logs/x.log", tail="last words", out_of_memory=True)
    driven.stop_trial(0)
    driven.left(0)
    driven.died(6, exit_code=None, signal=11, log="logs/6-1.log", tail="Segmentation fault", out_of_memory=False)
    driven.died(7, exit_code=3, signal=None, log="logs/7-1.log", tail="", out_of_memory=False)
    driven.died(8, exit_code=None, signal=9, log="logs/8-1.log", tail="", out_of_memory=True)
    driven.enqueue(**{**values, "d": None})
    driven.tell(PauseAsked(at=driven.at))
    driven.tick(30.0)
    driven.tell(ResumeAsked(at=driven.at))
    driven.tick(60.0)
    for trial, order in list(driven.orders.items()):
        if trial in driven.machine.book.live and driven.machine.book.trials[trial].launches == order.launch:
            driven.end(_refused, trial) if trial % 2 else driven.returned(trial, loss=0.5)
    ended = next(number for number, trial in driven.machine.book.trials.items() if trial.state.ended)
    while not driven.machine.asks.in_flight:
        driven.grant()
    ask = min(driven.machine.asks.in_flight)
    heir = driven.machine.asks.in_flight[ask]
    driven.tell(Suggested(at=driven.at, ask=ask, suggestion=evolve(Suggestion.run(values, ended, 2), fallback="it was late")))
    driven.report(heir, 2, loss=0.25, checkpoint=True)
    while not driven.machine.asks.in_flight:
        driven.grant()
    driven.tell(Suggested(at=driven.at, ask=min(driven.machine.asks.in_flight), suggestion=Suggestion.idle()))
    driven.left(heir)
    driven.tell(StopAsked(at=driven.at, reason="the user has seen enough"))
    driven.close()
    return driven.records


def _refused(trial: int, launch: int) -> TrialRaised:
    return TrialRaised(trial=trial, launch=launch, failure=failed("no process", kind=FailureKind.REFUSED))


def broken() -> Sequence[Record]:
    """Ended by a failing oracle, then by a failing executor, then by a stopper."""
    driven = Driven(FIFO, lambda: [TimeBudget(60.0)], slots=2, logs=True)
    driven.machine.consult.log = lambda trial, launch: f"the end of {trial}-{launch}"
    driven.start(x=1)
    driven.report(0, 1, loss=1.0, checkpoint=True)
    driven.close()
    driven.lost(0, "the search was closed")
    driven.open(gone=[CheckpointKey(0, 1, 1)])
    driven.grant()
    driven.tell(OracleFailed(at=0.0, message="KeyError: 'x'"))
    driven.returned(0, loss=1.0)
    driven.open()
    driven.tell(ExecutorFailed(at=0.0, message="no process could be started"))
    driven.open()
    driven.start(x=2)
    driven.tick(61.0)
    driven.left(1)
    return driven.records


def begun() -> Sequence[Record]:
    """Begun with what earlier searches had found, and with what the user wanted first; and ended by a name that was refused."""
    goal = Objectives(["loss", "accuracy"], combine="sum", weights=[1, 2], constraints=[Constraint("latency", least=0, most=1)])
    driven = Driven(new_entries="default", slots=2, objective=goal)
    observed = [
        Observation({"x": 1}, 0.5, scores=(0.7, 0.1)),
        Observation({"x": 2}, None),
        Observation({"x": 3}, None, State.FAILED),
    ]
    driven.open(observed=observed, first=[{"x": 5}, {}])
    driven.grant()
    driven.declare(0, {"late": Int(0, 3)}, x=5, late=0)
    driven.returned(0, loss=1.0, accuracy=0.5, latency=2.0)
    driven.grant()
    driven.close()
    driven.left(1)
    driven.open(new_entries="refuse")
    driven.grant()
    driven.declare(1, {"late": Int(0, 3)}, late=0)
    driven.left(1)
    return driven.records


class Population(Scheduler):
    """Has trials go on as another one, and with other resources."""

    exploits = reallocates = True

    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        said: Mapping[tuple[int, int], Verdicts] = {
            (0, 1): Exploit(1), (0, 2): Exploit(1), (1, 3): Reallocate(Resources(cpu=2)),
        }  # fmt: skip
        return said.get((trial.id, report.step))

    def explore(self, trial: TrialView, source: TrialView, seed: int) -> Mapping[str, Any]:
        return {"x": seed % 100}


def exploited() -> Sequence[Record]:
    """A trial goes on as another one, which goes on with more cores; and the search is opened again between."""
    driven = Driven(Population, slots=2, max_trials=2)
    driven.start(x=1)
    driven.start(x=2)
    driven.report(0, 1, loss=1.0, checkpoint=True)  # there is nothing yet to go on from
    driven.report(1, 2, loss=0.5, checkpoint=True)
    driven.report(0, 2, loss=1.0, checkpoint=True)
    driven.report(1, 3, loss=0.4, checkpoint=True)
    driven.left(0)
    driven.open()
    for _ in range(2):
        driven.grant()
    driven.report(0, 3, loss=0.3)
    driven.tell(SlotGranted(at=0.0, width=2))
    driven.report(0, 4, loss=0.2, checkpoint=True)
    driven.returned(0)
    driven.returned(1, loss=0.1)
    return driven.records


class Pauses(Scheduler):
    """Sets a trial aside at its second step."""

    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        return PAUSE if report.step == 2 else None


def kept() -> Sequence[Record]:
    """A launch leaves a checkpoint when it is told to, and another is given up, as all of them take too much."""
    policy = CheckpointPolicy(keep=2, score="loss", direction="min", every=2, at_end=True, max_size=2**20)
    driven = Driven(Pauses, checkpoints=policy, max_trials=2)
    driven.start(x=1)
    driven.report(0, 2, loss=1.0)
    driven.end(TrialLeft, 0, checkpoint=CheckpointKey(0, 2, 1), size=2**20)
    driven.grant()
    driven.report(0, 3, loss=0.5)
    key = CheckpointKey(0, 4, 2)
    said = MetricsReported(trial=0, launch=2, step=4, metrics={"loss": 0.25}, clock=1.0, checkpoint=key, size=1)
    driven.tell(Heard(at=0.0, message=said))
    driven.returned(0, loss=0.125)
    return driven.records


# ------------------------------------------------------------------------------------------------------ what is in them


def kinds(value: object) -> Iterable[str]:
    """The names of all classes and enumerated members in a value."""
    if isinstance(value, Enum):
        yield f"{type(value).__name__}.{value.name}"
    elif isinstance(value, Mapping):
        for part in (*value.keys(), *value.values()):
            yield from kinds(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from kinds(part)
    elif attrs.has(kind := type(value)):
        yield kind.__name__
        for each in attrs.fields(kind):
            yield from kinds(getattr(value, each.name))


def views(records: Sequence[Record]) -> list[TrialView]:
    """The trials, as they follow from the records by law; whatever scheduler there was, its answers are recorded."""
    machine = Machine(FIFO())
    fold(machine, records)
    return [machine.book.view(trial) for trial in machine.book.trials.values()]


def _portable(record: Record) -> Record:
    """The same, with no path of this machine in it."""

    def without(value: Any) -> Any:
        if isinstance(value, dict):
            shown = {key: without(part) for key, part in value.items()}
            return {**shown, "traceback": "Traceback (most recent call last):\n"} if shown.get("traceback") else shown
        return [without(part) for part in value] if isinstance(value, list | tuple) else value

    return typed(without(plain(record, Record)), Record)


def read_as(directory: Path) -> dict[str, Any]:
    """What this version takes a journal for: every record, and every trial in the end, as JSON says it."""
    records = read_records(directory)
    return {
        "records": [as_json(plain(record, Record)) for record in records],
        "trials": [as_json(plain(evolve(view, reports=()), TrialView)) for view in views(records)],
        "reports": [[as_json(plain(report, Report)) for report in view.reports] for view in views(records)],
    }


def as_json(value: Any) -> Any:
    """The same in what JSON has."""
    if isinstance(value, Mapping):
        return {str(key): as_json(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(part) for part in value]
    return repr(value) if isinstance(value, float | bytes) else value


# --------------------------------------------------------------------------------------------------------------- written


def main(into: Path) -> None:
    """Write the golden journals of this version."""
    version = into / str(SCHEMA_VERSION)
    stories = {f"seed-{seed}": endured(seed).records for seed in SEEDS}
    for name, records in {
        **stories,
        "commanded": commanded(),
        "broken": broken(),
        "begun": begun(),
        "parked": parked(),
        "exploited": exploited(),
        "kept": kept(),
    }.items():
        write(version / name, [_portable(record) for record in records])
    with tempfile.TemporaryDirectory() as directory:
        storage = Path(directory) / LIVED
        program = (
            f"from pathlib import Path; from tests.journal.golden import lived; lived(Path({str(storage)!r}), cut_after=30)"
        )
        subprocess.run([sys.executable, "-c", program], check=False)
        shutil.copytree(storage, version / LIVED)
    for journal in sorted(version.iterdir()):
        (journal / "read-as.json").write_text(json.dumps(read_as(journal), indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
