"""What a function is handed, and what it can do with it, in a real process."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asynctune._runner.weights import session_nice
from asynctune.executors.local import LocalExecutor
from asynctune.failure import FailureKind
from asynctune.messages import Answer, Died, MetricsReported, ParametersDeclared, TrialLeft, TrialRaised, TrialReturned, What
from asynctune.policies import Resources
from asynctune.records import CheckpointKey
from asynctune.space.domains import Float
from tests.process.conftest import Attach, Search, alive, until


async def test_what_a_trial_knows(local: LocalExecutor, attach: Attach, tmp_path: Path) -> None:
    def train(trial: Any) -> float:
        assert (trial.id, trial.launch, trial.attempt, trial.seed) == (3, 2, 1, 1003)
        assert trial.values == {"lr": 0.1, "layer/units": 8}
        assert trial.config == {"lr": 0.1, "layer": {"units": 8}}
        assert trial.resources == Resources()
        assert trial.directory == tmp_path / "trials" / "3"
        assert trial.directory.is_dir()
        assert trial.restore() is None
        assert not trial.should_stop
        assert trial.should_checkpoint
        assert "Trial 3, launch 2" in repr(trial)
        return 1.0

    async with attach(local, train) as search:
        assert await search.metrics(3, {"lr": 0.1, "layer/units": 8}, launch=2) == {"loss": 1.0}


async def test_parameters_are_declared_before_the_report(local: LocalExecutor, attach: Attach) -> None:
    def train(trial: Any) -> float:
        x = trial.hp.Float("x", 0.0, 1.0)
        trial.report(loss=x)
        trial.hp.Float("y", 0.0, 2.0)
        return float(x)

    async with attach(local, train) as search:
        metrics = await search.metrics()
        first, report, second = search.heard_of

    assert first == ParametersDeclared(trial=0, launch=1, parameters={"x": Float(0.0, 1.0)}, values={"x": metrics["loss"]})
    assert isinstance(report, MetricsReported)
    assert isinstance(second, ParametersDeclared)
    assert list(second.parameters) == ["y"]


async def test_steps_count_up_from_one(local: LocalExecutor, attach: Attach) -> None:
    def train(trial: Any) -> None:
        trial.report(loss=1)
        trial.report({"loss": 2.0}, step=5, accuracy=0.5)
        trial.report({"loss": float("nan")})

    async with attach(local, train) as search:
        before = time.monotonic()
        assert await search.metrics() == {}
        reports = search.reports

    assert [report.step for report in reports] == [1, 5, 6]
    assert reports[1].metrics == {"loss": 2.0, "accuracy": 0.5}
    assert before < reports[0].clock < reports[1].clock < time.monotonic()


def report_twice(trial: Any) -> None:
    trial.report({"loss": 1.0}, loss=2.0)


def report_nothing(trial: Any) -> None:
    trial.report()


def report_step_zero(trial: Any) -> None:
    trial.report(step=0, loss=1.0)


def report_backwards(trial: Any) -> None:
    trial.report(step=4, loss=1.0)
    trial.report(step=4, loss=1.0)


def report_text(trial: Any) -> None:
    trial.report(loss="1.0")


def report_true(trial: Any) -> None:
    trial.report(loss=True)


def report_half_a_step(trial: Any) -> None:
    trial.report(step=1.5, loss=1.0)


def report_a_list(trial: Any) -> None:
    trial.report([1.0])


def report_too_much(trial: Any) -> None:
    trial.report({f"m{i}": 1.0 for i in range(600_000)})


def checkpoint_late(trial: Any) -> None:
    trial.report(loss=1.0)
    with trial.checkpoint(step=1):
        pass


def checkpoint_and_report_another_step(trial: Any) -> None:
    with trial.checkpoint(step=3):
        pass
    trial.report(step=4, loss=1.0)


@pytest.mark.parametrize(
    ("trainable", "text"),
    [
        (report_twice, "'loss' was given twice"),
        (report_nothing, "at least one metric"),
        (report_step_zero, "above 0"),
        (report_backwards, "above 4"),
        (report_text, "'loss' must be a number, not str '1.0'"),
        (report_true, "'loss' must be a number, not bool True"),
        (report_half_a_step, "integer, not float 1.5"),
        (report_a_list, "dict of names to numbers, not list"),
        (report_too_much, "over the limit"),
        (checkpoint_late, "above 1"),
        (checkpoint_and_report_another_step, "report step 3"),
    ],
)
@pytest.mark.fault(18)
@pytest.mark.fault(19)
async def test_wrong_reports_say_so(local: LocalExecutor, attach: Attach, trainable: Any, text: str) -> None:
    async with attach(local, trainable) as search:
        ending = await search.run()

    assert isinstance(ending, TrialRaised)
    assert text in ending.failure.message


async def test_stopped_in_report(local: LocalExecutor, attach: Attach, tmp_path: Path) -> None:
    def train(trial: Any) -> None:
        try:
            while True:
                trial.report(loss=1.0)
        finally:
            (tmp_path / "cleaned").touch()

    search = Search(lambda report: What.STOP if report.step == 3 else What.GO)
    async with attach(local, train, search=search):
        assert isinstance(await search.run(), TrialLeft)

    assert [report.step for report in search.reports] == [1, 2, 3]
    assert (tmp_path / "cleaned").exists()


async def test_what_is_raised_on_the_way_out_counts_and_what_is_returned_does_not(local: LocalExecutor, attach: Attach) -> None:
    def train(trial: Any) -> Any:
        try:
            trial.report(loss=1.0)
        except BaseException:  # noqa: BLE001 -- a trainable may
            if trial.id == 1:
                raise ValueError("on the way out") from None
        return 7.0

    search = Search(lambda report: What.STOP)
    async with attach(local, train, search=search):
        left, raised = [await search.run(number) for number in range(2)]

    assert isinstance(left, TrialLeft)
    assert isinstance(raised, TrialRaised)
    assert raised.failure.message == "ValueError: on the way out"


async def test_parked_in_report(local: LocalExecutor, attach: Attach) -> None:
    def train(trial: Any) -> float:
        trial.report(loss=1.0)
        return float(os.getpid())

    search = Search(lambda report: What.PARK)
    async with attach(local, train, search=search):
        over, other = search.start(0), search.start(1)
        await asyncio.gather(search.report_of(0), search.report_of(1))
        report = search.reports[0]
        search.attachment.send(Answer(trial=0, launch=1, step=report.step, what=What.GO))
        ended = await over

        assert isinstance(ended, TrialReturned)
        assert not other.done()
        search.attachment.halt(1, 1, reason="enough", grace=5)
        assert isinstance(await other, TrialLeft)


def weighed(search: Search, count: int) -> bool:
    return len(search.weights) == count


async def test_who_is_parked_is_weighed_with_all_that_it_has_started(local: LocalExecutor, attach: Attach) -> None:
    def train(trial: Any) -> None:
        held = bytearray(2**20 * trial.values["own"])
        for start in range(0, len(held), 4096):
            held[start] = 1
        if trial.values["helper"]:
            read, write = os.pipe()
            if os.fork() == 0:
                other = bytearray(2**20 * trial.values["helper"])
                for start in range(0, len(other), 4096):
                    other[start] = 1
                os.write(write, b"!")
                signal.pause()
            os.read(read, 1)
        trial.report(loss=float(len(held)))

    search = Search(lambda report: What.PARK)
    async with attach(local, train, search=search):
        for trial, (own, helper) in enumerate([(0, 0), (30, 0), (0, 50)]):
            over = search.start(trial, {"own": own, "helper": helper})
            await search.report_of(trial)
            search.attachment.park(trial, 1)
            await until(partial(weighed, search, trial + 1))
            search.attachment.halt(trial, 1, reason="enough", grace=0.1)
            await over
        search.attachment.park(2, 1)  # it is over, and nothing happens

    small, large, family = [weight.memory / 2**20 for weight in search.weights]
    assert [(weight.trial, weight.launch) for weight in search.weights] == [(0, 1), (1, 1), (2, 1)]
    assert small < 25
    assert 30 <= large < small + 40
    assert 50 <= family < 2 * small + 60


async def test_runners_that_were_needed_while_others_were_parked_leave(attach: Attach) -> None:
    def train(trial: Any) -> float:
        if trial.id == 0:
            trial.report(loss=1.0)
        return float(os.getpid())

    search = Search(lambda report: What.PARK)
    async with LocalExecutor(1, isolation="worker") as executor, attach(executor, train, search=search):
        parked = search.start(0)
        report = await search.report_of(0)
        search.attachment.park(0, 1)
        other = int((await search.metrics(1))["loss"])
        search.attachment.send(Answer(trial=0, launch=1, step=report.step, what=What.GO))
        ended = await parked
        assert isinstance(ended, TrialReturned)
        assert ended.metrics is not None
        first = int(ended.metrics["loss"])
        await until(lambda: not alive(first))
        assert [int((await search.metrics(trial))["loss"]) for trial in (2, 3)] == [other] * 2


async def test_should_stop_sees_a_halt(local: LocalExecutor, attach: Attach) -> None:
    def train(trial: Any) -> float:
        trial.report(loss=1.0)
        while not trial.should_stop:
            time.sleep(0.001)
        return 2.0

    async with attach(local, train) as search:
        over = search.start()
        await search.report_of()
        search.attachment.halt(0, 1, reason="enough", grace=20)

        assert isinstance(await over, TrialLeft)


def listens_to_sigterm(trial: Any) -> None:
    import signal

    signal.signal(signal.SIGTERM, lambda *_: os._exit(42))
    trial.report(loss=1.0)
    while True:
        time.sleep(1)


def listens_to_nothing(trial: Any) -> None:
    import signal

    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    trial.report(loss=1.0)
    while True:
        time.sleep(1)


def holds_the_gil(trial: Any) -> None:
    import ctypes

    trial.report(loss=1.0)
    ctypes.PyDLL(None).pause()


@pytest.mark.parametrize(
    ("trainable", "code", "signum"), [(listens_to_sigterm, 42, None), (listens_to_nothing, None, 9), (holds_the_gil, None, 15)]
)
@pytest.mark.fault(6)
async def test_who_does_not_listen_is_ended(
    local: LocalExecutor, attach: Attach, trainable: Any, code: int | None, signum: int | None
) -> None:
    async with attach(local, trainable) as search:
        over = search.start()
        await search.report_of()
        search.attachment.halt(0, 1, reason="enough", grace=20)
        search.attachment.halt(0, 1, reason="now", grace=0)
        ending = await over

    assert isinstance(ending, Died)
    assert (ending.exit_code, ending.signal) == (code, signum)


@pytest.mark.fault(34)
async def test_messages_to_others_are_not_heard(local: LocalExecutor, attach: Attach) -> None:
    def train(trial: Any) -> float:
        trial.report(loss=1.0)
        assert not trial.should_stop
        return 1.0

    async with attach(local, train) as search:
        over = search.start(1, launch=2)
        search.attachment.halt(1, 1, reason="a launch before", grace=0)
        search.attachment.halt(7, 1, reason="nobody", grace=0)
        assert isinstance(await over, TrialReturned)


async def test_a_checkpoint_travels_with_its_report(local: LocalExecutor, attach: Attach, tmp_path: Path) -> None:
    def train(trial: Any) -> None:
        with trial.checkpoint() as directory:
            (directory / "weights").write_text("one")
        trial.report(loss=1.0)
        try:
            with trial.checkpoint():
                raise RuntimeError("half written")
        except RuntimeError:
            trial.report(loss=2.0)
        with trial.checkpoint(step=9) as directory:
            (directory / "weights").write_text("nine")

    async with attach(local, train) as search:
        ending = await search.run(4)

    assert [report.checkpoint for report in search.reports] == [CheckpointKey(4, 1, 1), None]
    assert isinstance(ending, TrialReturned)
    assert ending.checkpoint == CheckpointKey(4, 9, 1)


async def test_restore_goes_on_behind_the_checkpoint(local: LocalExecutor, attach: Attach) -> None:
    def train(trial: Any) -> float:
        start = trial.restore()
        if start is None:
            with trial.checkpoint(step=5) as directory:
                (directory / "weights").write_text("five")
            trial.report(step=5, loss=1.0)
            return 1.0
        assert (start / "weights").read_text() == "five"
        trial.report(loss=0.5)
        return 0.5

    async with attach(local, train) as search:
        await search.metrics(0)
        over = search.start(0, launch=2, restore=CheckpointKey(0, 5, 1))
        assert isinstance(await over, TrialReturned)

    assert [report.step for report in search.reports] == [5, 6]


async def test_async_functions_await_their_reports(local: LocalExecutor, attach: Attach) -> None:
    async def train(trial: Any) -> float:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        ticker = asyncio.create_task(tick())
        await trial.report(loss=1.0)
        await trial.report(loss=2.0)
        ticker.cancel()
        return float(ticks)

    async with attach(local, train) as search:
        assert (await search.metrics())["loss"] > 0
        assert [report.step for report in search.reports] == [1, 2]


async def test_async_functions_are_stopped_and_raise(local: LocalExecutor, attach: Attach) -> None:
    async def train(trial: Any) -> None:
        if trial.id == 1:
            raise ValueError("async")
        async with asyncio.TaskGroup() as group:
            group.create_task(trial.report(loss=1.0))
            group.create_task(trial.report(loss=2.0))

    search = Search(lambda report: What.STOP if report.step == 2 else What.GO)
    async with attach(local, train, search=search):
        assert isinstance(await search.run(0), TrialLeft)
        raised = await search.run(1)

    assert isinstance(raised, TrialRaised)
    assert raised.failure.kind is FailureKind.RAISED


async def test_generators_are_seeded(local: LocalExecutor, attach: Attach) -> None:
    def train(trial: Any) -> dict[str, float]:
        return {"loss": random.random(), "pid": os.getpid()}

    async with attach(local, train) as search:
        first, again, other = [await search.metrics(n, launch=k) for n, k in ((0, 1), (0, 2), (1, 1))]

    assert first["pid"] != again["pid"]
    assert first["loss"] == again["loss"] == random.Random(1000).random()
    assert first["loss"] != other["loss"]


def draw_from_numpy(trial: Any) -> dict[str, float]:
    loaded = "numpy.random" in sys.modules
    return {"loss": float(np.random.random()), "loaded": float(loaded)}  # noqa: NPY002 -- this one is global


async def test_generators_of_libraries_are_loaded_once_and_seeded(local: LocalExecutor, attach: Attach) -> None:
    async with attach(local, draw_from_numpy) as search:
        first, again, other = [await search.metrics(n, launch=k) for n, k in ((0, 1), (0, 2), (1, 1))]

    expected = np.random.RandomState(1000).random()
    assert first == again == {"loss": expected, "loaded": 1}
    assert other["loss"] != expected


async def test_forks_of_a_trial_are_as_python_means_them(local: LocalExecutor, attach: Attach) -> None:
    def train(trial: Any) -> float:
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        luck = random.getstate()
        pid = os.fork()
        if pid == 0:
            # A thread that did not come along is not there, and luck is not the parent's.
            os._exit(threading.active_count() + 10 * (random.getstate() == luck))
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    async with attach(local, train) as search:
        assert await search.metrics() == {"loss": 1.0}


async def test_a_runner_stands_back_as_what_made_it_does(local: LocalExecutor, attach: Attach) -> None:
    def train(trial: Any) -> dict[str, float]:
        score = Path("/proc/self/oom_score_adj").read_text()
        zygote = os.getpriority(os.PRIO_PROCESS, os.getppid())
        return {"nice": os.nice(0), "zygote": zygote, "oom": float(score), "session": float(os.getsid(0) == os.getpid())}

    async with attach(local, train) as search:
        metrics = await search.metrics()

    nice = os.nice(0) + 5
    assert metrics == {"nice": nice, "zygote": nice, "oom": 500, "session": 1}


@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="this kernel does not weigh sessions")
async def test_a_session_stands_back_as_its_processes_do(local: LocalExecutor, attach: Attach) -> None:
    def train(trial: Any) -> dict[str, float]:
        def weight(pid: int) -> int:
            return int(Path(f"/proc/{pid}/autogroup").read_text().rpartition(" ")[2])

        zygote = os.getppid()
        root = int(Path(f"/proc/{zygote}/stat").read_text().rpartition(")")[2].split()[1])
        deadline = time.monotonic() + 60
        while weight(os.getpid()) == 0 or weight(zygote) == 0:  # once they are known to live for long; and there is no event
            assert time.monotonic() < deadline
        return {"runner": weight(os.getpid()), "zygote": weight(zygote), "root": weight(root)}

    async with attach(local, train) as search:
        assert await search.metrics() == dict.fromkeys(("runner", "zygote", "root"), session_nice() + 5)


@pytest.mark.fault(31)
async def test_a_runner_holds_nothing_of_others(local: LocalExecutor, attach: Attach) -> None:
    def train(trial: Any) -> dict[str, float]:
        trial.report(loss=0.0)
        targets = [os.path.realpath(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")]
        sockets = [target for target in targets if "socket:" in target]
        pipes = [target for target in targets if "pipe:" in target or "anon_inode" in target]
        return {"sockets": len(sockets), "pipes": len(pipes)}

    search = Search(lambda report: What.PARK if report.trial == 0 else What.GO)
    async with attach(local, train, search=search):
        parked = search.start(0)
        await search.report_of(0)
        assert await search.metrics(1) == {"sockets": 1, "pipes": 0}
        search.attachment.halt(0, 1, reason="done", grace=5)
        await parked
