"""Scripts: what `run()` prints, how it takes Ctrl-C and SIGTERM, and what `asynctune show` says of a search."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import asynctune as at
from asynctune.__main__ import main
from asynctune.errors import ConfigurationError
from asynctune.testing import check_history
from asynctune.testing.leftovers import gone
from tests.search.trainables import steps

pytestmark = pytest.mark.process

# Whoever starts these tests in the background may have them ignore SIGINT, which would be inherited.
SCRIPT = """
import signal, sys, time
import asynctune as at

signal.signal(signal.SIGINT, signal.default_int_handler)

def train(trial):
    x = trial.hp.Float("x", 0.0, 1.0)
    for step in range(1, 4):
        trial.report(step=step, loss=x + 1 / step)
    if sys.argv[1] == "wait" and trial.id > 1:
        with open(sys.argv[4], "w") as fifo:
            fifo.write("waiting")
        while True:
            time.sleep(1)

at.run(
    train, objective=at.Objective("loss", "min"), max_trials=4, seed=1, limits=at.Limits(grace=float(sys.argv[3])),
    storage=sys.argv[2], executor=at.LocalExecutor(2),
)
"""


@contextmanager
def started(tmp_path: Path, how: str, grace: float = 0.2) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The script, running, and its mark. Whatever is left of it in the end is killed."""
    os.mkfifo(tmp_path / "fifo")
    command = [sys.executable, "-c", SCRIPT, how, str(tmp_path / "search"), str(grace), str(tmp_path / "fifo")]
    environment = {**os.environ, "SCRIPT": str(tmp_path)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as process:
        try:
            yield process, f"SCRIPT={tmp_path}"
        finally:
            process.kill()


def until_two_trials_wait(tmp_path: Path) -> None:
    heard = ""
    while heard != "waiting" * 2:
        heard += (tmp_path / "fifo").read_text()


def test_it_prints_a_line_for_each_trial_and_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with started(tmp_path, "run") as (process, mark):
        printed, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        gone(mark, 1.0)
        assert printed.count("loss") >= 5
        assert "best so far" in printed
        assert "every trial has ended" in printed
        table = printed[printed.index("trial  state") :].splitlines()
        assert len(table) >= 5

        assert main(["show", str(tmp_path / "search")]) == 0
        shown = capsys.readouterr().out
        assert "4 trials (4 completed), ended: every trial has ended" in shown
        assert table[1] in shown


@pytest.mark.fault(10)
@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_it_and_says_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], signum: int, code: int
) -> None:
    with started(tmp_path, "wait") as (process, mark):
        until_two_trials_wait(tmp_path)
        assert main(["show", str(tmp_path / "search")]) == 0
        assert f"running in process {process.pid}" in capsys.readouterr().out
        os.killpg(process.pid, signum)
        _, said = process.communicate(timeout=30)
        assert process.returncode == code
        assert "Traceback" not in said
        assert f"Run it again to go on from {tmp_path / 'search'}" in said
        gone(mark, 1.0)
        assert main(["show", str(tmp_path / "search")]) == 0
        assert "start it again to go on" in capsys.readouterr().out
        check_history(tmp_path / "search")


@pytest.mark.fault(10)
@pytest.mark.parametrize(
    ("signals", "code"),
    [
        ((signal.SIGINT, signal.SIGINT), 130),
        ((signal.SIGTERM, signal.SIGTERM), 143),
        ((signal.SIGHUP, signal.SIGTERM), 129),
        ((signal.SIGINT, signal.SIGTERM), 143),
    ],
    ids=["ctrl-c twice", "SIGTERM twice", "SIGTERM behind SIGHUP", "SIGTERM behind ctrl-c"],
)
def test_a_second_signal_does_not_wait_for_the_grace(tmp_path: Path, signals: tuple[int, int], code: int) -> None:
    with started(tmp_path, "wait", grace=3600) as (process, mark):
        until_two_trials_wait(tmp_path)
        os.killpg(process.pid, signals[0])
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.5)
        os.killpg(process.pid, signals[1])
        process.communicate(timeout=30)
        assert process.returncode == code
        gone(mark, 1.0)
        check_history(tmp_path / "search")


def test_a_closed_output_does_not_end_the_search(tmp_path: Path) -> None:
    with started(tmp_path, "run") as (process, mark):
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None
        process.communicate(timeout=60)
        gone(mark, 1.0)
        assert main(["show", str(tmp_path / "search")]) == 0


def test_show_says_that_there_is_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(tmp_path)]) == 1
    assert "there is no search" in capsys.readouterr().err


async def test_run_inside_a_loop_says_what_to_write() -> None:
    with pytest.raises(ConfigurationError, match=r"await asynctune\.search"):
        at.run(steps, objective=at.Objective("loss", "min"), max_trials=1)


def test_a_programs_own_signal_handlers_are_there_again_afterwards(tmp_path: Path) -> None:
    async def train(trial: at.AsyncTrial) -> float:
        return 1.0

    def mine(number: int, frame: object) -> None: ...

    numbers = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
    before = [signal.signal(number, mine) for number in numbers]
    try:
        at.run(train, objective=at.Objective("y", "min"), max_trials=1, executor=at.InlineExecutor(), display=False)
        assert [signal.getsignal(number) for number in numbers] == [mine] * 3
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
