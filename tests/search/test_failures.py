"""What can be read of every attempt that failed, and where."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sqlite3
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import asynctune as at
from asynctune.__main__ import main
from asynctune.failure import FailureKind

pytestmark = pytest.mark.process

LOSS = at.Objective("loss", "min")
TRIED = (FailureKind.RAISED, FailureKind.KILLED, FailureKind.EXITED, FailureKind.TIMED_OUT, FailureKind.INVALID_RESULT)


async def search(trainable: Any, **options: Any) -> at.Result:
    given: dict[str, Any] = {"objective": LOSS, "executor": at.LocalExecutor(1), "seed": 0, "max_trials": 1, **options}
    return await at.search(trainable, **given)


def fails_in_every_way(trial: at.Trial) -> float:
    """Loses its zygote first; then each attempt fails in its own way, and the last one does not."""
    lost = trial.directory / "lost"
    print(f"this is attempt {trial.attempt}", flush=True)
    if not lost.exists():
        lost.touch()
        os.kill(os.getppid(), signal.SIGKILL)
        threading.Event().wait()
    match trial.attempt:
        case 1:
            raise ValueError("bad luck")
        case 2:
            os.kill(os.getpid(), signal.SIGKILL)
        case 3:
            os._exit(7)
        case 4:
            threading.Event().wait()
        case 5:
            return float("nan")
    trial.report(loss=1.0)
    return 0.5


POLICIES: dict[str, Any] = {
    "failure": at.FailurePolicy(max_retries_per_trial=5),
    "limits": at.Limits(trial_time=1.0, grace=0.1),
}


@pytest.mark.fault(1, 4, 9)
async def test_every_failed_attempt_is_listed_newest_last(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = await search(fails_in_every_way, storage=tmp_path, **POLICIES)
    assert (result.trials[0].state, result.trials[0].attempt, result.trials[0].launches) == (at.State.COMPLETED, 6, 7)
    assert main(["show", str(tmp_path), "--trial", "0"]) == 0
    shown = capsys.readouterr().out

    head = re.compile(r"^  \d\d:\d\d:\d\d  attempt (\d), launch (\d): (.*)$", re.MULTILINE)
    assert head.findall(shown) == [
        ("1", "1", "lost: the search's zygote was killed by SIGKILL"),
        ("1", "2", "raised: ValueError: bad luck"),
        ("2", "3", "killed by a signal: its process was killed by signal 9 (SIGKILL)"),
        ("3", "4", "exited: its process exited with code 7 before it returned a result"),
        ("4", "5", "timed out: it ran longer than 1 s: Limits(trial_time=1)"),
        ("5", "6", "invalid result: its 'loss' is nan"),
    ]
    parts = head.split(shown)[4::4]
    for launch, (part, attempt) in enumerate(zip(parts, (1, 1, 2, 3, 4, 5), strict=True), 1):
        assert f"    log: {tmp_path}/logs/0-{launch}.log\n" in part
        assert f"      | this is attempt {attempt}\n" in part
    assert "in fails_in_every_way" in parts[1]
    for part, how in zip(parts[2:5], ("signal: 9", "exit code: 7", "signal: 15"), strict=True):
        assert f"    {how}\n" in part
    # What has not failed has a log, too.
    assert shown.endswith(f"log: {tmp_path}/logs/0-7.log\n")
    assert shown.count("log: ") == 7


def rows(directory: Path, columns: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"file:{directory}/journal.sqlite?mode=ro", uri=True)) as journal:
        return journal.execute(f"select {columns} from failures order by trial, launch").fetchall()  # noqa: S608


async def test_every_failed_attempt_is_a_row(tmp_path: Path) -> None:
    await search(fails_in_every_way, storage=tmp_path, **POLICIES)
    assert rows(tmp_path, "launch, kind, error_type, exit_code, signal, log") == [
        (1, "lost", None, None, None, "logs/0-1.log"),
        (2, "raised", "ValueError", None, None, "logs/0-2.log"),
        (3, "killed by a signal", None, None, 9, "logs/0-3.log"),
        (4, "exited", None, 7, None, "logs/0-4.log"),
        (5, "timed out", None, None, 15, "logs/0-5.log"),
        (6, "invalid result", None, None, None, "logs/0-6.log"),
    ]
    tails = [tail.partition("\n")[0] for (tail,) in rows(tmp_path, "tail")]
    assert tails == [f"this is attempt {attempt}" for attempt in (1, 1, 2, 3, 4, 5)]
    ((text,),) = [found for *found, kind in rows(tmp_path, "traceback, kind") if kind == "raised"]
    assert "in fails_in_every_way" in text


def _leaves_when_it_is_told(trial: at.Trial) -> None:
    print("about to leave", flush=True)
    while True:
        trial.report(loss=1.0)


@pytest.mark.fault(5)
async def test_who_leaves_when_it_is_told_has_its_log_recorded(tmp_path: Path) -> None:
    await search(_leaves_when_it_is_told, storage=tmp_path, limits=at.Limits(trial_time=0.5, grace=5))
    ((kind, exit_code, signum, log, tail),) = rows(tmp_path, "kind, exit_code, signal, log, tail")
    assert (kind, exit_code, signum, log) == ("timed out", None, None, "logs/0-1.log")
    assert tail.startswith("about to leave\n")


KILLED = """
import os, signal, sys, threading
import asynctune as at

os.environ["SEARCH"] = str(os.getpid())

def train(trial):
    print("about to lose my search", flush=True)
    trial.report(loss=1.0)
    os.kill(int(os.environ["SEARCH"]), signal.SIGKILL)
    threading.Event().wait()

at.run(train, objective="loss", max_trials=1, executor=at.LocalExecutor(1), storage=sys.argv[1], seed=0, display=False)
"""


@pytest.mark.fault(8)
async def test_a_launch_that_was_lost_with_its_search_is_a_row(tmp_path: Path) -> None:
    program = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, str(tmp_path))
    assert await program.wait() == -signal.SIGKILL
    result = await search(lambda trial: 0.5, storage=tmp_path)
    assert (result.trials[0].state, result.trials[0].attempt, result.trials[0].launches) == (at.State.COMPLETED, 1, 2)
    told = rows(tmp_path, "launch, kind, message, log, tail")
    assert told == [(1, "lost", "the search was interrupted", "logs/0-1.log", "about to lose my search")]


def _hangs_and_does_not_listen(trial: at.Trial) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("about to wait", flush=True)
    threading.Event().wait()


def _hangs_and_leaves(trial: at.Trial) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
    print("about to wait", flush=True)
    threading.Event().wait()


@pytest.mark.fault(5, 6)
@pytest.mark.parametrize(
    ("trainable", "exit_code", "signum"), [(_hangs_and_does_not_listen, None, signal.SIGKILL), (_hangs_and_leaves, 3, None)]
)
async def test_what_took_too_long_keeps_how_it_ended(trainable: Any, exit_code: int | None, signum: int | None) -> None:
    result = await search(trainable, limits=POLICIES["limits"])
    failure = result.trials[0].failure
    assert failure is not None
    assert (failure.kind, failure.exit_code, failure.signal) == (FailureKind.TIMED_OUT, exit_code, signum)
    assert failure.log == "logs/0-1.log"
    assert failure.tail.startswith("about to wait\n")
    assert f"in {trainable.__name__}" in failure.tail  # where it hung


async def test_the_error_that_ends_a_search_says_all_there_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def train(trial: at.Trial) -> None:
        print(f"trial {trial.id} begins", file=sys.stderr, flush=True)
        if trial.id == 2:
            os._exit(7)
        raise ValueError("bad luck")

    with pytest.raises(at.errors.TooManyFailuresError) as caught:
        await search(train, storage=tmp_path, max_trials=5)
    said = str(caught.value)
    assert "ValueError in trial 0, 1; exited in trial 2" in said
    assert said.endswith(
        "The last one was trial 2: its process exited with code 7 before it returned a result\n"
        "exit code: 7\n"
        "log: logs/2-1.log in the search's directory\n"
        "  | trial 2 begins"
    )
    assert main(["show", str(tmp_path)]) == 0
    table = capsys.readouterr().out
    assert "raised: ValueError: bad luck" in table
    assert "exited: its process exited with code 7" in table


async def test_a_fatal_error_says_all_there_is() -> None:
    def train(trial: at.Trial) -> None:
        print("reading ...", flush=True)
        raise at.FatalValueError("the data is wrong")

    with pytest.raises(at.FatalValueError) as caught:
        await search(train)
    said = str(caught.value)
    assert said.startswith("trial 0 ended the search: it raised FatalValueError: the data is wrong\nTraceback")
    assert said.endswith("\nlog: logs/0-1.log in the search's directory\n  | reading ...")


async def test_the_kind_is_a_column(tmp_path: Path) -> None:
    def train(trial: at.Trial) -> float:
        if trial.id == 1:
            os._exit(7)
        return 1.0

    path = tmp_path / "trials.csv"
    result = await search(train, max_trials=2, observers=[at.observers.CSV(path)])
    assert [row["failure_kind"] for row in result.to_dicts()] == [None, "exited"]
    head, *rows = path.read_text().splitlines()
    assert head.split(",")[:9] == "id,state,score,step,attempt,launches,stop_reason,failure_kind,failure".split(",")
    assert [row.split(",")[7] for row in rows] == ["", "exited"]
