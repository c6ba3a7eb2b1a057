"""Trials that a scheduler sets aside, parked in real processes: nothing that they have done is done again."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
from attrs import define

import asynctune as at
from asynctune.events import Event, ParkedGone, Paused, Started
from asynctune.executors.base import Executor
from asynctune.testing import check_history, nothing_left, snapshot
from asynctune.testing.leftovers import gone

pytestmark = pytest.mark.process

LOSS = at.Objective("loss", "min")
STEPS = 4


@define(eq=False, slots=False)
class Turns(at.Scheduler):
    """Sets each trial aside at step 2. When no more come they go on, the last one first."""

    def on_trial_result(self, trial: at.TrialView, report: at.Report) -> Any:
        return at.PAUSE if report.step == 2 else None

    def choose_trial_to_run(self, search: Any) -> Any:
        held = [number for number, trial in search.trials.items() if trial.state is at.State.PENDING and trial.launches]
        return "NEW" if search.growing or not held else held[-1]


def count(trial: Any, step: int) -> None:
    """Write this step down, and who did it."""
    with open(trial.directory / "steps", "a") as file:
        file.write(f"{step} {os.getpid()}\n")


def train(trial: at.Trial) -> None:
    held = bytearray(64 * 2**20 if trial.data["large"] == trial.id else 1)
    for start in range(0, len(held), 4096):
        held[start] = 1
    for step in range(1, STEPS + 1):
        count(trial, step)
        trial.report(step=step, loss=trial.id + 1 / step)


async def train_async(trial: at.AsyncTrial) -> None:
    for step in range(1, STEPS + 1):
        count(trial, step)
        await trial.report(step=step, loss=trial.id + 1 / step)


def steps(directory: Path, trial: int) -> tuple[list[int], list[int]]:
    """The steps that were done for a trial, and the processes that did them."""
    lines = [tuple(map(int, line.split())) for line in (directory / "trials" / str(trial) / "steps").read_text().splitlines()]
    return [step for step, _ in lines], list(dict.fromkeys(pid for _, pid in lines))


def search(tmp_path: Path, trainable: Any = train, **options: Any) -> at.Search:
    given: dict[str, Any] = {
        "objective": LOSS,
        "scheduler": Turns(),
        "executor": at.LocalExecutor(2),
        "max_trials": 4,
        "seed": 0,
        "storage": tmp_path / "search",
        "data": {"large": -1},
        "limits": at.Limits(grace=0.2),
        **options,
    }
    return at.Search(trainable, **given)


async def happened(tmp_path: Path, trainable: Any = train, **options: Any) -> list[Any]:
    """What happened in a search that ended well, and all of whose trials did."""
    before = snapshot()
    async with search(tmp_path, trainable, **options) as running:
        events = [what async for event in running.events() for what in event.happened]
        result = await running.result()
    assert [(trial.state, trial.step) for trial in result.trials.values()] == [(at.State.COMPLETED, STEPS)] * len(result.trials)
    for trial in result.trials.values():
        assert [report.metrics["loss"] for report in trial.reports] == [trial.id + 1 / step for step in range(1, STEPS + 1)]
    nothing_left(before)
    return events


@pytest.mark.parametrize(("workers", "isolation"), [(1, "trial"), (2, "trial"), (2, "worker")])
async def test_each_step_is_done_once_and_by_one_process(
    tmp_path: Path, workers: int, isolation: Literal["trial", "worker"]
) -> None:
    events = await happened(tmp_path, executor=at.LocalExecutor(workers, isolation=isolation))
    for trial in range(4):
        done, processes = steps(tmp_path / "search", trial)
        assert done == [1, 2, 3, 4]
        assert len(processes) == 1
    order = [what.trial for what in events if isinstance(what, Started) and what.parked]
    assert (order if workers == 1 else sorted(order, reverse=True)) == [3, 2, 1, 0]
    assert [what.parked for what in events if isinstance(what, Paused)] == [True] * 4
    assert not any(isinstance(what, ParkedGone) for what in events)


async def test_a_task_of_the_loop_waits_too(tmp_path: Path) -> None:
    await happened(tmp_path, train_async, executor=at.InlineExecutor(2), limits=None)
    assert [steps(tmp_path / "search", trial)[0] for trial in range(4)] == [[1, 2, 3, 4]] * 4


async def test_past_the_number_that_may_be_parked_the_youngest_run_again(tmp_path: Path) -> None:
    events = await happened(tmp_path, parking=at.Parking(max_trials=1), executor=at.LocalExecutor(1))
    # All lose two steps; who comes last is the youngest, and leaves at its report.
    assert [what.parked for what in events if isinstance(what, Paused)] == [True, False, False, False]
    done = [steps(tmp_path / "search", trial)[0] for trial in range(4)]
    assert done == [[1, 2, 3, 4], *[[1, 2, 1, 2, 3, 4]] * 3]


async def test_past_the_memory_that_the_parked_may_hold_who_holds_it_runs_again(tmp_path: Path) -> None:
    events = await happened(tmp_path, parking=at.Parking(max_memory="48 MiB"), data={"large": 1}, executor=at.LocalExecutor(1))
    (sent_away,) = [what for what in events if isinstance(what, ParkedGone)]
    assert (sent_away.trial, sent_away.reason) == (1, "there is no room for it: Parking(max_memory='48 MiB')")
    done = [steps(tmp_path / "search", trial)[0] for trial in range(4)]
    assert done[1] == [1, 2, 1, 2, 3, 4]
    assert [done[0], *done[2:]] == [[1, 2, 3, 4]] * 3


async def test_who_saves_each_step_leaves_and_goes_on_from_there(tmp_path: Path) -> None:
    def saves(trial: at.Trial) -> None:
        trial.restore()
        for step in range(trial.step + 1, STEPS + 1):
            count(trial, step)
            with trial.checkpoint(step=step) as directory:
                (directory / "step").write_text(str(step))
            trial.report(step=step, loss=trial.id + 1 / step)

    events = await happened(tmp_path, saves)
    assert not any(what.parked for what in events if isinstance(what, Paused))
    for trial in range(4):
        done, processes = steps(tmp_path / "search", trial)
        assert (done, len(processes)) == ([1, 2, 3, 4], 2)


# ------------------------------------------------------------------------------- while one is parked, and the other waits


def first_is_parked(trial: at.Trial) -> None:
    """The second trial waits in its first step until it is let go."""
    for step in range(1, STEPS + 1):
        count(trial, step)
        if trial.id == 1 and step == 1 and not os.path.exists(trial.data["free"]):
            with open(trial.data["fifo"], "rb", buffering=0) as fifo:
                fifo.read(1)
        trial.report(step=step, loss=trial.id + 1 / step)


@define
class Parked:
    """A search whose first trial is parked: what happens next, the process that is parked, and what lets the other one go."""

    search: at.Search
    events: AsyncIterator[Event]
    pid: int
    fifo: int

    def let_go(self) -> None:
        os.write(self.fifo, b"!")


@asynccontextmanager
async def one_parked(tmp_path: Path, **options: Any) -> AsyncIterator[Parked]:
    os.mkfifo(tmp_path / "fifo")
    fifo = os.open(tmp_path / "fifo", os.O_RDWR)  # so that nobody waits for the other end
    executor: Executor = at.LocalExecutor(1)
    given = {"executor": executor, "max_trials": 2, "data": data(tmp_path), **options}
    try:
        async with asyncio.timeout(60), search(tmp_path, first_is_parked, **given) as running:
            events = running.events()
            async for event in events:
                if any(isinstance(what, Paused) and what.parked for what in event.happened):
                    break
            _, (pid,) = steps(tmp_path / "search", 0)
            yield Parked(running, events, pid, fifo)
    finally:
        os.close(fifo)


def data(tmp_path: Path) -> dict[str, str]:
    return {"fifo": str(tmp_path / "fifo"), "free": str(tmp_path / "free")}


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize("isolation", ["trial", "worker"])
@pytest.mark.fault(1)
async def test_a_parked_process_that_is_killed_costs_its_steps_and_nothing_else(
    tmp_path: Path, isolation: Literal["trial", "worker"]
) -> None:
    before = snapshot()
    executor = at.LocalExecutor(1, isolation=isolation)
    async with one_parked(tmp_path, executor=executor) as parked:
        os.kill(parked.pid, signal.SIGKILL)
        async for event in parked.events:
            lost = [what for what in event.happened if isinstance(what, ParkedGone)]
            if lost:
                break
        assert lost == [ParkedGone(trial=0, launch=1, reason="its process was killed by signal 9 (SIGKILL)")]
        parked.let_go()
        result = await parked.search.result()
    trial = result.trials[0]
    assert (trial.state, trial.attempt, trial.launches, trial.failure) == (at.State.COMPLETED, 1, 2, None)
    assert steps(tmp_path / "search", 0)[0] == [1, 2, 1, 2, 3, 4]
    assert [report.step for report in trial.reports] == [1, 2, 3, 4]
    nothing_left(before)


async def test_cancelled_while_one_is_parked_nothing_is_left_and_it_can_be_resumed(tmp_path: Path) -> None:
    before = snapshot()
    async with one_parked(tmp_path) as parked:
        assert is_there(parked.pid)
    nothing_left(before)
    assert not is_there(parked.pid)
    (tmp_path / "free").touch()
    options: dict[str, Any] = {"executor": at.LocalExecutor(1), "max_trials": 2, "data": data(tmp_path)}
    async with search(tmp_path, first_is_parked, **options) as running:
        result = await running.result()
    assert [(trial.state, trial.attempt) for trial in result.trials.values()] == [(at.State.COMPLETED, 1)] * 2
    assert steps(tmp_path / "search", 0)[0] == [1, 2, 1, 2, 3, 4]
    check_history(tmp_path / "search")


@pytest.mark.parametrize("how", ["stop", "stop_trial", "pause"])
async def test_the_user_stops_it_the_search_or_only_new_starts(tmp_path: Path, how: str) -> None:
    before = snapshot()
    async with one_parked(tmp_path) as parked:
        running = parked.search
        if how == "stop":
            await running.stop()
        elif how == "stop_trial":
            await running.stop_trial(0)
            parked.let_go()
        else:
            await running.pause()
            parked.let_go()
            assert is_there(parked.pid)
            await running.resume()
        result = await running.result()
    state = {"stop": at.State.PENDING, "stop_trial": at.State.COMPLETED, "pause": at.State.COMPLETED}[how]
    assert (result.trials[0].state, result.trials[0].launches) == (state, 1)
    assert steps(tmp_path / "search", 0)[0] == ([1, 2, 3, 4] if how == "pause" else [1, 2])
    nothing_left(before)


PROGRAM = """
import os, signal, sys
import asynctune as at
from tests.search.test_parking import Turns, first_is_parked

signal.signal(signal.SIGINT, signal.default_int_handler)

class Says(at.Observer):
    def on_events(self, events, search):
        if any(getattr(what, "parked", False) for event in events for what in event.happened):
            with open(sys.argv[1] + "/said", "w") as said:
                said.write("parked")

at.run(
    first_is_parked, objective=at.Objective("loss", "min"), scheduler=Turns(), max_trials=2, storage=sys.argv[1] + "/search",
    executor=at.LocalExecutor(1), data={"fifo": sys.argv[1] + "/fifo", "free": sys.argv[1] + "/free"},
    limits=at.Limits(grace=0.2), observers=[Says()], display=False,
)
"""


@pytest.mark.fault(10)
@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_ctrl_c_or_a_kill_leave_no_parked_process(tmp_path: Path, signum: int, code: int) -> None:
    for name in ("fifo", "said"):
        os.mkfifo(tmp_path / name)
    environment = {**os.environ, "PARKED": str(tmp_path)}
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    with subprocess.Popen(command, env=environment, start_new_session=True) as process:
        try:
            assert (tmp_path / "said").read_text() == "parked"
            process.send_signal(signum)
            assert process.wait(30) == code
        finally:
            process.kill()
    gone(f"PARKED={tmp_path}", 1.0)
    check_history(tmp_path / "search")


# ---------------------------------------------------------------------------------------------------------------- Keras


@pytest.mark.keras
async def test_a_model_that_was_parked_in_fit_comes_to_the_same_as_one_that_was_not(tmp_path: Path) -> None:
    pytest.importorskip("keras", reason="needs Keras")

    def fit(trial: at.Trial) -> None:
        import keras
        import numpy as np

        from asynctune.keras import ReportCallback

        rng = np.random.default_rng(0)
        x = rng.normal(size=(64, 4))
        y = x @ rng.normal(size=4)
        keras.utils.set_random_seed(trial.id)
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, activation="relu"), keras.layers.Dense(1)])
        model.compile(optimizer="adam", loss="mse")
        model.fit(x, y, epochs=STEPS, batch_size=16, verbose=0, callbacks=[ReportCallback(trial)])

    losses = []
    for scheduler in (Turns(), at.schedulers.FIFO()):
        where = tmp_path / type(scheduler).__name__
        options: dict[str, Any] = {"scheduler": scheduler, "max_trials": 2, "executor": at.LocalExecutor(1)}
        async with search(where, fit, **options) as running:
            result = await running.result()
        assert [trial.launches for trial in result.trials.values()] == [1, 1]
        losses.append([[report.metrics["loss"] for report in trial.reports] for trial in result.trials.values()])
    assert losses[0] == losses[1]
    assert [len(each) for each in losses[0]] == [STEPS] * 2
