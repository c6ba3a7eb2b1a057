"""Whoever is killed, nothing strays."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from asynctune.errors import ExecutorError
from asynctune.executors.local import LocalExecutor
from asynctune.messages import Died, Lost, TrialReturned
from tests.process.conftest import PATIENCE, Attach, alive, descendants, until

ROOT = Path(__file__).parents[2]


def leave_helpers(trial: Any) -> None:
    """Start what must not outlive the trial, and write down who it is: a child, and one that has left the session."""
    pids = []
    for session in (False, True):
        command = [sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"]
        pids.append(subprocess.Popen(command, start_new_session=session).pid)
    # And one whose parent is gone: a daemon.
    shell = f"setsid {sys.executable} -c 'import time; time.sleep(600)' >/dev/null 2>&1 & echo $!"
    pids.append(int(subprocess.run(shell, shell=True, stdout=subprocess.PIPE, check=True).stdout))
    path = trial.directory / "pids"
    path.write_text(" ".join(map(str, pids)))


def helpers(directory: Path, trial: int = 0) -> list[int]:
    return [int(pid) for pid in (directory / "trials" / str(trial) / "pids").read_text().split()]


def helpful(trial: Any) -> float:
    leave_helpers(trial)
    trial.report(loss=1.0)
    if trial.values["end"] == "exit":
        os._exit(3)
    if trial.values["end"] == "wait":
        while True:
            time.sleep(1)
    return 1.0


def helpful_in_c(trial: Any) -> None:
    """Holds the interpreter, in C code that hears of nothing, until it is killed."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    leave_helpers(trial)
    trial.report(loss=1.0)
    ctypes.PyDLL(None).pause()


@pytest.mark.parametrize("end", ["return", "exit"])
@pytest.mark.fault(7)
async def test_helpers_go_with_their_trial_and_with_no_other(
    local: LocalExecutor, attach: Attach, tmp_path: Path, end: str
) -> None:
    async with attach(local, helpful) as search:
        waiting = search.start(1, {"end": "wait"})
        await search.report_of(1)
        ended = await search.run(0, {"end": end})
        await until(lambda: not any(map(alive, helpers(tmp_path))))

        assert isinstance(ended, TrialReturned if end == "return" else Died)
        assert all(map(alive, helpers(tmp_path, 1)))
        search.attachment.halt(1, 1, reason="done", grace=0)
        await waiting
        await until(lambda: not any(map(alive, helpers(tmp_path, 1))))


def hands_its_channel_on(trial: Any) -> float:
    trial.report(loss=1.0)
    for descriptor in os.listdir("/proc/self/fd"):
        if int(descriptor) > 2:
            try:
                os.set_inheritable(int(descriptor), True)
            except OSError:
                continue
    subprocess.Popen(["sleep", "600"], close_fds=False, start_new_session=True)
    os._exit(5)


@pytest.mark.fault(7)
async def test_a_helper_that_holds_the_channel_hides_nothing(local: LocalExecutor, attach: Attach) -> None:
    async with attach(local, hands_its_channel_on) as search:
        ended = await search.run()

    assert isinstance(ended, Died)
    assert ended.exit_code == 5


async def test_closing_takes_everything(attach: Attach, tmp_path: Path) -> None:
    async with LocalExecutor(2) as executor, attach(executor, helpful) as search:
        search.start(0, {"end": "wait"})
        await search.report_of(0)
        strays = helpers(tmp_path)
        search.attachment.close()
        search.attachment.close()
        await search.attachment.wait_closed()

        assert not any(map(alive, strays))
        assert [type(ending) for ending in search.endings] == [Lost]
        after = search.start(1, {"end": "return"})
        assert isinstance(await after, Lost)


async def test_closing_the_executor_takes_every_search(attach: Attach, tmp_path: Path) -> None:
    executor = LocalExecutor(2)
    await executor.open()
    async with attach(executor, helpful) as search:
        search.start(0, {"end": "wait"})
        await search.report_of(0)
        strays = helpers(tmp_path)
        executor.close()
        executor.close()
        await executor.wait_closed()
        await executor.wait_closed()

        assert not any(map(alive, strays))
        assert [type(ending) for ending in search.endings] == [Lost]


def holder(trial: Any) -> float:
    """Says who holds it: its zygote, the root, the guard."""
    trial.report(loss=0.0)
    names = ("runner", "zygote", "root", "guard")
    process: psutil.Process | None = psutil.Process()
    for name in names:
        assert process is not None
        (trial.directory / name).write_text(str(process.pid))
        process = process.parent()
    leave_helpers(trial)
    trial.report(loss=1.0)
    while trial.launch == 1:
        time.sleep(1)
    return 1.0


@pytest.mark.parametrize("victim", ["zygote", "root", "guard"])
@pytest.mark.fault(9)
async def test_who_holds_the_runners_is_killed(local: LocalExecutor, attach: Attach, tmp_path: Path, victim: str) -> None:
    async with attach(local, holder) as search:
        lost, other = search.start(0), search.start(1)
        for number in (0, 1):
            while len([report for report in search.reports if report.trial == number]) < 2:
                await search.report_of(number)
        place = tmp_path / "trials" / "0"
        family = [int((place / name).read_text()) for name in ("runner", "zygote")] + helpers(tmp_path) + helpers(tmp_path, 1)
        os.kill(int((place / victim).read_text()), signal.SIGKILL)

        assert isinstance(await lost, Lost)
        assert isinstance(await other, Lost)
        await until(lambda: not any(map(alive, family)))
        # It is all there again.
        assert isinstance(await search.run(0, launch=2), TrialReturned)
        assert search.failures == []


@pytest.mark.fault(9)
async def test_a_zygote_that_is_killed_again_and_again_is_given_up(
    local: LocalExecutor, attach: Attach, tmp_path: Path
) -> None:
    def train(trial: Any) -> None:
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(600)

    async with attach(local, train) as search:
        endings = [await search.run(0, launch=launch) for launch in range(1, 6)]

    assert all(isinstance(ending, Lost) for ending in endings)
    assert len(search.failures) == 1
    assert isinstance(search.failures[0], ExecutorError)
    assert "SIGKILL" in str(search.failures[0])
    assert "; trial 0 ran each time" in str(search.failures[0])


SERVICE = """
import asyncio, os, sys, time
from pathlib import Path
from tests.process.conftest import Search, recipe
from tests.process.test_strays import helpful, helpful_in_c
from asynctune.executors.local import LocalExecutor

async def main():
    async with LocalExecutor(2) as executor:
        search = Search()
        trainable = helpful_in_c if sys.argv[2] == "busy in C" else helpful
        search.attachment = await executor.attach(recipe(trainable, Path(sys.argv[1])), search)
        if sys.argv[2] == "fork" and os.fork() == 0:
            os.close(1)
            time.sleep(600)
        if sys.argv[2] != "idle":
            search.start(0, {"end": "wait"})
            await search.report_of(0)
        print("ready", flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


RUNS_AWAY = """
import asyncio, sys
from pathlib import Path
from tests.process.conftest import Search, recipe
from tests.process.test_limits import runs_away
from asynctune.executors.local import LocalExecutor

async def main():
    async with LocalExecutor(1) as executor:
        search = Search()
        search.attachment = await executor.attach(recipe(runs_away, Path(sys.argv[1])), search)
        search.start(0, {"leaves": False, "says": True})
        await search.report_of(0)
        print("ready", flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


@asynccontextmanager
async def ready(program: str, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program that has said that it is ready; killed in any case, so that a test that fails leaves nothing."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, *arguments), cwd=ROOT, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), PATIENCE) == b"ready\n"
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@pytest.mark.fault(7, 8)
@pytest.mark.parametrize("victims", [["service"], ["guard"], ["service", "guard"]], ids="+".join)
async def test_who_held_those_that_multiply_is_killed(tmp_path: Path, victims: list[str]) -> None:
    async with ready(RUNS_AWAY, str(tmp_path)) as process:
        began = time.monotonic()
        (guard,) = psutil.Process(process.pid).children()
        mark = guard.cmdline()  # which each of its descendants has, as they are forks
        for victim in victims:
            os.kill(process.pid if victim == "service" else guard.pid, signal.SIGKILL)
        await until(lambda: not multiplying(tmp_path))
        assert time.monotonic() - began < PATIENCE / 4, "they ended by themselves"
    await until(lambda: not any(marked(each, mark) for each in psutil.process_iter()))


def marked(process: psutil.Process, mark: list[str]) -> bool:
    with suppress(psutil.Error):
        return bool(process.cmdline() == mark and process.status() != psutil.STATUS_ZOMBIE)
    return False


def multiplying(directory: Path) -> list[int]:
    """Who has the log of the launch open: all those that the trial has forked."""
    found = []
    for process in psutil.process_iter():
        with suppress(OSError):
            if os.readlink(f"/proc/{process.pid}/fd/1") == str(directory / "logs" / "0-1.log"):
                found.append(process.pid)
    return found


@pytest.mark.parametrize("service", ["alone", "fork", "busy in C", "idle"])
@pytest.mark.fault(8)
async def test_the_service_is_killed(tmp_path: Path, service: str) -> None:
    async with ready(SERVICE, str(tmp_path), service) as process:
        family = {child.pid for child in psutil.Process(process.pid).children(recursive=True)}
        family |= set(helpers(tmp_path)) if service != "idle" else set()
        # What the service itself has forked is its own affair, and ours to clean up.
        own = {pid for pid in family if psutil.Process(pid).cmdline()[:3] == [sys.executable, "-c", SERVICE]}
    await until(lambda: not any(alive(pid) for pid in family - own))
    for pid in own:
        os.kill(pid, signal.SIGKILL)
    assert len(own) == (service == "fork")
    assert len(family) >= (3 if service == "idle" else 7)


@pytest.mark.fault(30)
async def test_a_hundred_launches_leave_nothing(local: LocalExecutor, attach: Attach) -> None:
    def train(trial: Any) -> float:
        if trial.id % 3 == 0:
            os._exit(1)
        return 1.0

    async with attach(local, train) as search:
        await search.run(1000)
        before, open_before = descendants(), len(os.listdir("/proc/self/fd"))
        await asyncio.gather(*(search.start(number) for number in range(100)))
        await until(lambda: descendants() <= before)

        assert len(os.listdir("/proc/self/fd")) == open_before
        assert len(search.endings) == 101
