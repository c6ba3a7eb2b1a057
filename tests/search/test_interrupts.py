"""Ctrl-C where it comes from (a terminal, a notebook), signals while the event loop is blocked, and whose handlers they are."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import asynctune as at
from asynctune._engine.journal import read_records
from asynctune._engine.retelling import retold
from asynctune.testing import check_history
from asynctune.testing.leftovers import gone
from tests.house.source import modules
from tests.search.trainables import steps

pytestmark = [pytest.mark.process, pytest.mark.fault(10)]

OBJECTIVE = at.Objective("loss", "min")
# Whoever starts these tests in the background may have them ignore SIGINT, which would be inherited.
BEGIN = """
import asyncio, signal, sys, time
import asynctune as at

signal.signal(signal.SIGINT, signal.default_int_handler)

def say():
    with open(sys.argv[2], "w") as fifo:
        fifo.write("waiting")
"""
WAITS = """
def train(trial):
    trial.report(loss=1.0)
    say()
    while True:
        time.sleep(1)

def search():
    at.run(
        train, objective=at.Objective("loss", "min"), max_trials=1, storage=sys.argv[1], executor=at.LocalExecutor(1),
        limits=at.Limits(grace=0.1),
    )
"""
BLOCKS = """
async def train(trial):
    await trial.report(loss=1.0)
    say()
    while True:
        time.sleep(1)

def search():
    at.run(train, objective=at.Objective("loss", "min"), max_trials=1, storage=sys.argv[1], executor=at.InlineExecutor(1))
"""
IN_A_TERMINAL = """
import fcntl, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # a session of its own, whose terminal this is
search()
"""
CAUGHT = """
try:
    search()
except KeyboardInterrupt:
    sys.exit(7)
"""


@contextmanager
def waiting(tmp_path: Path, program: str, stdin: int = subprocess.DEVNULL) -> Iterator[subprocess.Popen[str]]:
    """The program, in a session of its own, in a trial that waits."""
    os.mkfifo(tmp_path / "fifo")
    command = [sys.executable, "-c", BEGIN + program, str(tmp_path / "search"), str(tmp_path / "fifo")]
    pipe, environment = subprocess.PIPE, {**os.environ, "INTERRUPTED": str(tmp_path)}
    with subprocess.Popen(
        command, env=environment, stdin=stdin, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    ) as process:
        try:
            assert (tmp_path / "fifo").read_text() == "waiting"
            yield process
        finally:
            process.kill()


def whole(tmp_path: Path) -> None:
    """Nothing is left, and the journal is sound."""
    gone(f"INTERRUPTED={tmp_path}", 1.0)
    check_history(tmp_path / "search")
    assert [trial.state for trial in retold(read_records(tmp_path / "search")).trials] != [at.State.COMPLETED]


def test_ctrl_c_at_a_terminal(tmp_path: Path) -> None:
    master, terminal = os.openpty()
    try:
        with waiting(tmp_path, WAITS + IN_A_TERMINAL, stdin=terminal) as process:
            os.write(master, b"\x03")  # the terminal makes a SIGINT of it, for all that run in its foreground
            _, said = process.communicate(timeout=30)
    finally:
        os.close(master)
        os.close(terminal)
    assert process.returncode == 130
    assert f"Run it again to go on from {tmp_path / 'search'}" in said
    whole(tmp_path)


def test_ctrl_c_can_be_caught(tmp_path: Path) -> None:
    with waiting(tmp_path, WAITS + CAUGHT) as process:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 7
    whole(tmp_path)


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_second_signal_ends_it_also_while_the_loop_is_blocked(tmp_path: Path, signum: int, code: int) -> None:
    with waiting(tmp_path, BLOCKS + "search()") as process:
        process.send_signal(signum)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.5)
        process.send_signal(signum)
        _, said = process.communicate(timeout=30)
    assert process.returncode == code
    assert f"Run it again to go on from {tmp_path / 'search'}" in said
    whole(tmp_path)


def handlers() -> dict[int, Any]:
    return {number: signal.getsignal(number) for number in signal.valid_signals()}


async def test_search_installs_no_handler() -> None:
    seen = []

    async def train(trial: at.AsyncTrial) -> None:
        seen.append(handlers())
        await trial.report(loss=1.0)

    before = handlers()
    await at.search(train, objective=OBJECTIVE, max_trials=1, executor=at.InlineExecutor())
    async with at.Search(steps, objective=OBJECTIVE, max_trials=1, executor=at.LocalExecutor(1)) as search:
        seen.append(handlers())
        (await search.result()).close()
        seen.append(handlers())
    assert seen == [before] * 3
    assert handlers() == before


def test_only_scripts_and_runners_take_signals() -> None:
    taking = {
        module.name
        for module in modules()
        if any(word in module.path.read_text() for word in ("signal.signal(", ".add_signal_handler(", "set_wakeup_fd("))
    }
    assert taking == {"asynctune.script", "asynctune._runner.guard", "asynctune._runner.spawned"}


SET_UP = """
import time
import asynctune as at

def train(trial):
    for step in range(1, 4):
        trial.report(step=step, loss=1 / step)
    if slow:
        with open({fifo!r}, "w") as fifo:
            fifo.write("waiting")
    while slow:  # a kernel hears an interrupt when something wakes its loop
        time.sleep(0.05)
        trial.report(loss=1 / trial.step)

slow = True
search = dict(objective=at.Objective("loss", "min"), max_trials=2, storage={storage!r}, limits=at.Limits(grace=0.1), seed=0)
"""
AWAITED = "await at.search(train, executor=at.LocalExecutor(1), **search)"
HELD = """
async with at.Search(train, executor=at.LocalExecutor(1), **search) as held:
    await held.result()
"""
GO_ON = """
slow = False
result = await at.search(train, executor=at.LocalExecutor(1), **search)
print(*[(trial.state.value, trial.attempt) for trial in result.trials.values()])
"""


@pytest.mark.parametrize("cell", [AWAITED, HELD], ids=["awaited", "held"])
async def test_an_interrupted_notebook_goes_on_where_it_was(tmp_path: Path, cell: str) -> None:
    pytest.importorskip("ipykernel", reason="needs a Jupyter kernel")
    nbformat = pytest.importorskip("nbformat", reason="needs nbformat")
    nbclient = pytest.importorskip("nbclient", reason="needs nbclient")
    fifo, storage = tmp_path / "fifo", tmp_path / "search"
    os.mkfifo(fifo)
    sources = [SET_UP.format(fifo=str(fifo), storage=str(storage)), cell, GO_ON]
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    where = {"metadata": {"path": str(tmp_path)}}
    notebook = nbformat.v4.new_notebook(cells=cells)
    client = nbclient.NotebookClient(notebook, timeout=100, kernel_name="python3", resources=where, allow_errors=True)
    async with client.async_setup_kernel():
        await client.async_execute_cell(cells[0], 0)
        interrupted = asyncio.create_task(client.async_execute_cell(cells[1], 1))
        assert await asyncio.to_thread(fifo.read_text) == "waiting"
        await client.km.interrupt_kernel()
        await interrupted
        check_history(storage)
        assert [trial.state for trial in retold(read_records(storage)).trials][:1] == [at.State.PENDING]
        await client.async_execute_cell(cells[2], 2)
    assert [output["output_type"] for output in cells[1].outputs] == ["error"]
    assert [output.get("text") for output in cells[2].outputs] == ["('COMPLETED', 1) ('COMPLETED', 1)\n"]
    check_history(storage)
