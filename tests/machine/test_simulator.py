"""The simulator: whole searches through the real machine, on a virtual clock."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from asynctune._engine.journal import read_records
from asynctune._engine.opening import fold
from asynctune._engine.record import pack
from asynctune._machine.machine import Machine
from asynctune.errors import ConfigurationError, PluginError, TooManyFailuresError
from asynctune.events import ParkedGone, Paused, Started
from asynctune.objective import Objective
from asynctune.oracles import GridSearch, RandomSearch
from asynctune.policies import FailurePolicy, Limits, Parking, Resources
from asynctune.records import Exploit, Reallocate, Report, State, TrialView, Values, Verdicts
from asynctune.schedulers import ASHA, FIFO, HyperBand, MedianStopping
from asynctune.schedulers.base import Scheduler
from asynctune.space import Float, Int
from asynctune.stoppers import MaxSteps, TimeBudget
from asynctune.testing import Conditions, Curve, Faults, Simulator, Synthetic, Table, check_history

LOSS = Objective("loss", "min")


def falling(values: Values) -> Curve:
    x = values["x"]
    assert isinstance(x, float)
    return Curve({"loss": [x + 1 / (step + 1) for step in range(9)]}, takes=1.0 + x)


def workload(function: Callable[[Values], Curve] = falling) -> Synthetic:
    return Synthetic(function=function, space={"x": Float(0, 1)}, objective=LOSS, max_steps=9)


def table(rows: int = 5, steps: int = 4) -> Table:
    curves = [Curve({"loss": [row + 1 / step for step in range(1, steps + 1)]}) for row in range(rows)]
    return Table(curves=curves, objective=LOSS)


SCHEDULERS: dict[str, Callable[[], Scheduler]] = {
    "fifo": FIFO,
    "median": MedianStopping,
    "stopping": lambda: ASHA(max_steps=9),
    "promotion": lambda: ASHA(max_steps=9, form="promotion"),
    "hyperband": lambda: HyperBand(max_steps=9),
}


def test_a_table_is_tried_to_its_last_row() -> None:
    done = Simulator(workload=table(), workers=2).run()

    assert sorted(str(trial.values["row"]) for trial in done.trials.values()) == list("01234")
    assert all(trial.state is State.COMPLETED for trial in done.trials.values())
    assert done.best is not None
    assert done.best.score == 0.25
    assert done.steps == 20
    # Five trials of four seconds on two workers: one has three of them.
    assert done.at == 12
    assert done.occupied == pytest.approx(20 / 24)


def test_the_order_of_the_rows_is_the_seeds() -> None:
    def order(seed: int) -> list[Any]:
        return [trial.values["row"] for trial in Simulator(workload=table(30), seed=seed).run().trials.values()]

    assert order(1) == order(1)
    assert order(1) != order(2)


def test_when_a_target_is_reached() -> None:
    rows = Table(curves=[Curve({"loss": [3.0, 2.0]}, takes=[1.0, 4.0])], objective=LOSS)
    done = Simulator(workload=rows).run()

    assert done.path == [(1.0, 3.0), (5.0, 2.0)]
    assert done.reached(3.0) == 1.0
    assert done.reached(2.5) == 5.0
    assert done.reached(1.9) is None
    assert rows.target == 2.0


def test_a_target_of_what_is_to_be_large() -> None:
    curves = [Curve({"accuracy": [row / 100]}) for row in range(100)]
    rows = Table(curves=curves, objective=Objective("accuracy", "max"), best=0.05)

    assert rows.target == 0.95
    done = Simulator(workload=rows).run()
    assert done.reached(0.95) == next(at for at, value in done.path if value >= 0.95)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_every_scheduler_runs_to_the_end(name: str, tmp_path: Path) -> None:
    simulator = Simulator(
        workload=workload(),
        scheduler=SCHEDULERS[name](),
        workers=4,
        max_trials=30,
        seed=3,
        conditions=Conditions(start_takes=0.5, load_takes=0.25, save_takes=0.1, save_every=2, straggle=0.3),
        faults=Faults(seed=5, dies=0.1, lost=0.1, zygote=0.05),
        failure=FailurePolicy(max_consecutive_failed_trials=None),
        storage=tmp_path / "search",
        check=True,
    )
    done = simulator.run()

    assert len(done.trials) == 30
    assert all(trial.state.ended for trial in done.trials.values())
    check_history(tmp_path / "search")


@pytest.mark.parametrize("name", SCHEDULERS)
def test_the_journal_is_a_normal_one_and_the_same_each_time(name: str, tmp_path: Path) -> None:
    def recorded(place: str) -> list[bytes]:
        Simulator(workload=workload(), scheduler=SCHEDULERS[name](), workers=3, max_trials=12, storage=tmp_path / place).run()
        return [pack(record) for record in read_records(tmp_path / place)]

    machine = Machine(SCHEDULERS[name]())
    records = recorded("one")
    folded = fold(machine, read_records(tmp_path / "one"))

    assert recorded("two") == records
    assert folded.seq == len(records)
    assert machine.over
    assert not machine.consult.divergences


def test_a_recorded_search_is_a_table(tmp_path: Path) -> None:
    first = Simulator(workload=workload(), workers=2, max_trials=6, storage=tmp_path).run()
    again = Table.recorded(tmp_path)
    done = Simulator(workload=again, workers=2).run()

    assert again.size == 6
    assert again.objective == LOSS
    assert again.max_steps == 9
    assert again.configurations[0] == first.trials[0].values
    assert list(again.curves[0].takes) == pytest.approx([falling(first.trials[0].values).takes] * 9)  # type: ignore[arg-type]
    assert done.best is not None
    assert first.best is not None
    assert done.best.score == first.best.score


@pytest.mark.parametrize("scheduler", [HyperBand(max_steps=9), ASHA(max_steps=9, form="promotion")], ids=["hyperband", "asha"])
def test_time_that_a_trial_was_parked_is_no_time_of_its_steps(scheduler: Any, tmp_path: Path) -> None:
    conditions = Conditions(save_every=None, parks=True)
    Simulator(
        workload=workload(), scheduler=scheduler, workers=3, max_trials=20, conditions=conditions, storage=tmp_path / "search"
    ).run()
    events = [event for record in read_records(tmp_path / "search") for event in record.happened]
    again = Table.recorded(tmp_path / "search")

    assert any(isinstance(event, Started) and event.parked for event in events)
    for curve, values in zip(again.curves, again.configurations, strict=True):
        assert list(curve.takes) == pytest.approx([falling(values).takes] * len(curve))  # type: ignore[arg-type]


def test_who_is_set_aside_goes_on_from_its_checkpoint_or_anew() -> None:
    def steps(every: int | None) -> int:
        scheduler = ASHA(max_steps=9, form="promotion")
        conditions = Conditions(save_every=every)
        return Simulator(workload=workload(), scheduler=scheduler, max_trials=9, conditions=conditions).run().steps

    assert steps(1) < steps(None)


@pytest.mark.parametrize("room", [0, 2, None])
def test_who_is_set_aside_can_wait_with_its_process(room: int | None, tmp_path: Path) -> None:
    def run(place: str, **conditions: Any) -> Any:
        return Simulator(
            workload=workload(),
            scheduler=HyperBand(max_steps=9),
            workers=3,
            max_trials=20,
            parking=Parking(max_trials=room),
            conditions=Conditions(save_every=None, **conditions),
            storage=tmp_path / place,
            check=True,
        ).run()

    parked, anew = run("parked", parks=True), run("anew")
    check_history(tmp_path / "parked")
    events = [event for record in read_records(tmp_path / "parked") for event in record.happened]

    assert any(isinstance(event, Paused) and event.parked for event in events) == (room != 0)
    assert any(isinstance(event, ParkedGone) for event in events) == (room == 2)
    if room is None:
        assert parked.steps == sum(trial.step for trial in parked.trials.values())
    assert (parked.steps < anew.steps) == (room != 0)
    assert parked.occupied <= 1.0


def test_the_time_of_who_waits_with_its_process_counts_in_no_limit() -> None:
    conditions, limits = Conditions(save_every=None, parks=True), Limits(trial_time=20, grace=1)
    scheduler = ASHA(max_steps=9, form="promotion")
    done = Simulator(workload=workload(), scheduler=scheduler, max_trials=27, conditions=conditions, limits=limits).run()

    lives = [trial.ended - trial.started for trial in done.trials.values() if trial.ended and trial.started is not None]
    assert max(lives) > 20
    assert all(trial.state is State.COMPLETED for trial in done.trials.values())


class Copies(Scheduler):
    """At step 3, whoever is worse than trial 0 goes on from its checkpoint, as row 0."""

    exploits = True

    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        return Exploit(0) if trial.id and report.step == 3 and not trial.lineage else None

    def explore(self, trial: TrialView, source: TrialView, seed: int) -> Mapping[str, Any]:
        return {"x": 0.0}


def test_a_trial_goes_on_from_the_checkpoint_of_another(tmp_path: Path) -> None:
    done = Simulator(
        workload=workload(), scheduler=Copies(), workers=3, max_trials=3, storage=tmp_path, check=True, conditions=Conditions()
    ).run()
    check_history(tmp_path)

    for number in (1, 2):
        trial = done.trials[number]
        (origin,) = trial.lineage
        assert origin.checkpoint.trial == 0
        first = next(report for report in trial.reports if report.launch > 1)
        assert first.step == origin.checkpoint.step + 1
        assert trial.values == {"x": 0.0}
        assert trial.score == falling({"x": 0.0}).metrics["loss"][-1]


class Widens(Scheduler):
    """Trial 0 gets two slots from step 2 on."""

    reallocates = True

    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        return Reallocate(Resources(cpu=2)) if trial.id == 0 and report.step == 2 else None


def test_a_trial_can_take_several_workers(tmp_path: Path) -> None:
    simulator = Simulator(workload=table(3), scheduler=Widens(), workers=2, storage=tmp_path, check=True)
    done = simulator.run()
    check_history(tmp_path)

    # What trial 0 gives back goes to trial 2, for that was asked for before; when that has ended, both workers are free.
    assert [done.trials[number].ended for number in range(3)] == [8, 4, 6]
    assert done.trials[0].resources == Resources(cpu=2)
    assert done.occupied == pytest.approx((2 + 4 + 4 + 2 * 2) / 16)


def test_conditions_cost_time() -> None:
    def took(**conditions: Any) -> float:
        return Simulator(workload=table(1), conditions=Conditions(**conditions)).run().at

    assert took() == 4
    assert took(start_takes=2) == 6
    assert took(save_takes=0.5) == 6
    assert took(save_takes=0.5, save_every=4) == 4.5
    assert took(straggle=1) > 4


def test_a_launch_that_hangs_is_ended_by_its_limit() -> None:
    limits, failure = Limits(trial_time=20, grace=1), FailurePolicy(max_retries_per_trial=0, max_consecutive_failed_trials=None)
    faults = Faults(hangs=1.0, within=1)
    done = Simulator(workload=table(2), faults=faults, limits=limits, failure=failure).run()

    assert [trial.state for trial in done.trials.values()] == [State.FAILED] * 2
    assert {trial.failure.kind.value for trial in done.trials.values() if trial.failure} == {"timed out"}
    assert done.at >= 40


def test_failures_can_end_it() -> None:
    with pytest.raises(TooManyFailuresError):
        Simulator(workload=table(20), faults=Faults(dies=1.0, within=1)).run()


def test_it_can_be_left_at_a_time_and_stopped() -> None:
    assert Simulator(workload=table(), workers=1).run(until=10).at == 10
    assert Simulator(workload=table()).run(until=10).reason is None
    left = Simulator(workload=table()).run(target=0.5)
    assert left.reason is None
    assert left.path[-1][1] <= 0.5 < left.path[-2][1]
    timed = Simulator(workload=table(), stop=TimeBudget(6)).run()
    assert timed.at == 6
    assert Simulator(workload=table(), stop=[MaxSteps(2)]).run().steps == 10


def test_diverged_values_are_reported_and_never_the_best() -> None:
    rows = Table(curves=[Curve({"loss": [1.0, math.nan]}), Curve({"loss": [5.0, 4.0]})], objective=LOSS)
    failure = FailurePolicy(non_finite="worst")
    done = Simulator(workload=rows, failure=failure).run()

    assert done.best is not None
    assert done.best.score == 4.0
    assert rows.target == 4.0


def test_steps_can_be_skipped() -> None:
    rows = Table(curves=[Curve({"loss": [3.0, 2.0]}, takes=5.0, steps=[5, 10])], objective=LOSS)
    done = Simulator(workload=rows).run()

    assert [report.step for report in done.trials[0].reports] == [5, 10]
    assert done.steps == 10
    assert rows.max_steps == 10


@pytest.mark.parametrize("oracle", [RandomSearch(), GridSearch()], ids=["random", "grid"])
def test_an_oracle_can_propose(oracle: Any) -> None:
    def curve(values: Values) -> Curve:
        assert isinstance(values["n"], int)
        return Curve({"loss": [1.0 * values["n"]]})

    numbers = Synthetic(function=curve, space={"n": Int(1, 8)}, objective=LOSS, max_steps=1)
    done = Simulator(workload=numbers, oracle=oracle, workers=3).run()

    assert sorted(str(trial.values["n"]) for trial in done.trials.values()) == list("12345678")


def test_what_was_passed_is_never_touched() -> None:
    scheduler = ASHA(max_steps=9)
    simulator = Simulator(workload=workload(), scheduler=scheduler, max_trials=9, workers=3)

    assert simulator.run().path == simulator.run().path
    assert not hasattr(scheduler, "objective")


def test_finished_trials_are_kept_small_and_whole() -> None:
    done = Simulator(workload=workload(), workers=2, max_trials=5).run()

    for number, trial in done.trials.items():
        assert trial.id == number
        assert trial.score == trial.reports[-1].metrics["loss"]
        assert [report.step for report in trial.reports] == list(range(1, 10))
        assert trial.checkpoint is not None
        assert trial.checkpoint == trial.reports[-1].checkpoint
        with pytest.raises(TypeError):
            trial.values["x"] = 1.0  # type: ignore[index]


def test_a_failing_plugin_is_named() -> None:
    class Broken(FIFO):
        def on_trial_result(self, trial: Any, report: Any) -> None:
            raise ValueError("no")

    with pytest.raises(PluginError, match="Broken"):
        Simulator(workload=table(), scheduler=Broken()).run()


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"workload": 3}, "workload"),
        ({"scheduler": ASHA}, "scheduler"),
        ({"workers": 0}, "workers"),
        ({"seed": -1}, "seed"),
        ({"max_trials": 0}, "max_trials"),
        ({"storage": 3}, "storage"),
        ({"workload": workload()}, "no end"),
        ({"faults": Faults(hangs=0.1)}, "trial_time"),
        ({"faults": Faults(late=1.0)}, "SimulatedSearch"),
        ({"stop": 5}, "stop"),
    ],
)
def test_bad_arguments_are_refused_at_once(arguments: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigurationError, match=word):
        Simulator(**{"workload": table(), **arguments})


def test_a_journal_is_not_written_over(tmp_path: Path) -> None:
    Simulator(workload=table(), storage=tmp_path).run()

    with pytest.raises(ConfigurationError, match="a search already"):
        Simulator(workload=table(), storage=tmp_path).run()


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"metrics": {}}, "metrics"),
        ({"metrics": {"a": [1.0], "b": [1.0, 2.0]}}, "metrics"),
        ({"metrics": {"a": [1.0]}, "takes": -1.0}, "takes"),
        ({"metrics": {"a": [1.0]}, "takes": [1.0, 1.0]}, "takes"),
        ({"metrics": {"a": [1.0, 1.0]}, "steps": [2, 2]}, "steps"),
        ({"metrics": {"a": [1.0]}, "steps": [0]}, "steps"),
    ],
)
def test_curves_that_cannot_be(arguments: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigurationError, match=word):
        Curve(**arguments)


def test_tables_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="at least one"):
        Table(curves=[], objective=LOSS)
    with pytest.raises(ConfigurationError, match="finite"):
        Table(curves=[Curve({"loss": [math.nan]})], objective=LOSS)
    with pytest.raises(ConfigurationError, match="no row"):
        table().curve({"row": 99})
