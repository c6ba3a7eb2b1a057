"""A trial that the kernel kills for want of memory is told from one that somebody kills."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from asynctune._runner.memory import OutOfMemory
from asynctune.executors.local import LocalExecutor
from asynctune.failure import FailureKind
from asynctune.messages import Died
from tests.process.conftest import Attach, until

LIMIT = 400 * 2**20  # bytes, for the service, its zygote and the trials


class Counter:
    """A counter as the kernel keeps it, and a clock."""

    def __init__(self, path: Path) -> None:
        self.path, self.now = path, 0.0
        self.set(3)
        self.kills = OutOfMemory(iter(["/nowhere/memory.events", str(path.parent), str(path)]), lambda: self.now)

    def set(self, count: int) -> None:
        self.path.write_text(f"low 7\noom 9\noom_kill {count}\noom_group_kill 0\n")


@pytest.fixture
def counter(tmp_path: Path) -> Counter:
    return Counter(tmp_path / "memory.events")


def test_what_was_counted_before_is_of_no_interest(counter: Counter) -> None:
    assert not counter.kills.killed()


def test_each_kill_is_one_process_only(counter: Counter) -> None:
    counter.set(5)
    assert [counter.kills.killed() for _ in range(3)] == [True, True, False]


def test_a_process_may_take_a_moment_to_die_and_not_an_hour(counter: Counter) -> None:
    counter.set(4)
    counter.kills.look()
    counter.now = 5.0
    assert counter.kills.killed()
    counter.set(5)
    counter.kills.look()
    counter.now = 3600.0
    assert not counter.kills.killed()
    counter.set(6)
    assert [counter.kills.killed() for _ in range(2)] == [True, False]


def test_a_counter_that_goes_away_or_makes_no_sense(counter: Counter) -> None:
    for text in ("oom_kill many\n", "oom_kill\n", "", "oom_killer 9\n", "é"):
        counter.path.write_text(text)
        assert not counter.kills.killed()
    counter.path.unlink()
    assert not counter.kills.killed()
    assert not OutOfMemory(iter([])).killed()


def test_this_machine_has_a_counter() -> None:
    """Linux 4.13 and newer has one for the machine, at least."""
    assert "\noom_kill " in Path("/proc/vmstat").read_text()
    assert not OutOfMemory().killed()


@pytest.mark.fault(1, 3)
async def test_who_is_killed_by_somebody_did_not_want_memory(local: LocalExecutor, attach: Attach) -> None:
    def train(trial: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    async with attach(local, train) as search:
        ending = await search.run()

    assert isinstance(ending, Died)
    assert (ending.signal, ending.out_of_memory) == (signal.SIGKILL, False)


PROGRAM = """
import json, os, sys
with open(sys.argv[1], "w") as group:
    group.write(str(os.getpid()))
import asynctune as at

def train(trial):
    if trial.id == 1:
        print("more and more", flush=True)
        kept = [b"x" * 2**20 for _ in range(10_000)]
    return float(trial.id)

options = {"objective": at.Objective("x", "max"), "max_trials": 3, "executor": at.LocalExecutor(1), "storage": sys.argv[2]}
result = at.run(train, display=False, **options)
json.dump([trial.failure and [trial.failure.kind.value, trial.failure.signal, trial.failure.tail]
    for trial in result.trials.values()], sys.stdout)
"""


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group with little memory; skips where none can be made."""
    found = _group()
    try:
        yield found
    finally:
        with suppress(OSError):
            found.rmdir()


def _group() -> Path:
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        number, controllers, path = line.split(":", 2)
        first = "memory" in controllers.split(",")
        if not first and number != "0":
            continue
        # Version 2 has processes in the leaves only: the group is made beside our own.
        above = Path(f"/sys/fs/cgroup/memory{path}") if first else Path(f"/sys/fs/cgroup{path}").parent
        group = above / f"asynctune-test-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            (group / ("memory.limit_in_bytes" if first else "memory.max")).write_text(str(LIMIT))
            swap = group / ("memory.memsw.limit_in_bytes" if first else "memory.swap.max")
            if swap.exists():
                swap.write_text(str(LIMIT) if first else "0")
        except OSError:
            group.rmdir()
            continue
        return group
    pytest.skip("no control group with a memory limit can be made here: that needs cgroups, and the right to write them")


@pytest.mark.fault(3)
def test_who_is_killed_for_want_of_memory_is_said_to_be(group: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(group / "cgroup.procs"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [None, [FailureKind.OUT_OF_MEMORY.value, signal.SIGKILL, "more and more"], None]
    asyncio.run(until(lambda: not (group / "cgroup.procs").read_text()))
