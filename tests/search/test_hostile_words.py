"""Messages that are well formed and say what cannot be: their trial fails, is recorded, and changes nobody else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import asynctune as at
from asynctune._engine.journal import read_records
from asynctune.errors import ConfigurationError, SpaceError
from asynctune.failure import Failure, FailureKind
from asynctune.messages import FromRunner, MetricsReported, ParametersDeclared, TrialLeft, TrialRaised, TrialReturned
from asynctune.observers import CSV, JSONLines, TensorBoard
from asynctune.records import CheckpointKey
from asynctune.space.domains import Choice, Domain, Fixed, Float, Int
from asynctune.testing.leftovers import nothing_left, snapshot
from asynctune.wire import encode

LOSS = at.Objective("loss", "min")
ODD_NAMES = ["../../etc/passwd", "/etc/passwd", "..", ".", "a\0b", "x" * 4096, "\u202egnp.exe", "CON", "a/../b", "-rf", "\n"]


def reporting(step: int, *, clock: float = 1.0, checkpoint: CheckpointKey | None = None, **metrics: float) -> Any:
    return lambda who: MetricsReported(**who, step=step, metrics=metrics or {"loss": 1.0}, clock=clock, checkpoint=checkpoint)


def naming(*names: str) -> Any:
    return lambda who: MetricsReported(**who, step=1, metrics=dict.fromkeys(names, 1.0) | {"loss": 1.0}, clock=1.0)


def declaring(values: Any, **parameters: Domain) -> list[Any]:
    return [lambda who: ParametersDeclared(**who, parameters=parameters, values=values), reporting(1)]


def returning(**more: Any) -> Any:
    return lambda who: TrialReturned(**who, **({"metrics": {"loss": 1.0}} | more))


def raising(**more: Any) -> Any:
    given: dict[str, Any] = {"kind": FailureKind.RAISED, "message": "x"} | more
    return lambda who: TrialRaised(**who, failure=Failure(**given))


WORDS: list[list[Any]] = [
    *([reporting(step)] for step in (-1, 0, 2**63, 2**64 - 1, -(2**63))),
    [reporting(2), reporting(1, clock=2.0)],
    [reporting(1, clock=float("nan")), reporting(2, clock=float("nan"))],
    [reporting(1, clock=float("inf")), returning()],
    [reporting(1, loss=float("nan"))],
    [reporting(1, other=1.0)],
    *([reporting(1, checkpoint=key)] for key in (CheckpointKey(0, 1, 1), CheckpointKey(2**63, 1, 1), CheckpointKey(1, -1, 1))),
    [naming(*ODD_NAMES, "")],
    *(declaring({name: 1}, **{name: Int(0, 9)}) for name in ("", "a//b", "\0", "x", "../x")),
    declaring({"x": 7.0}),
    declaring({"nobody": 1}),
    declaring({"x": 0.5}, x=Float(0.0, 2.0)),
    declaring({"y": 99}, y=Int(0, 9)),
    declaring({"z": float("nan")}, z=Choice([1, 2])),
    declaring({"big": 2**63}, big=Fixed("a")),
    [returning(metrics=None)],
    [returning(metrics={})],
    [returning(metrics={"loss": float("-inf")})],
    [returning(step=2**64 - 1)],
    [returning(step=-1, executions=({}, {"": 1.0}))],
    [returning(checkpoint=CheckpointKey(0, 1, 1))],
    [returning(checkpoint=CheckpointKey(1, 2**63, 1))],
    *([raising(kind=kind, exit_code=2**64 - 1, signal=-(2**63), log="../../etc/passwd")] for kind in FailureKind),
    *([raising(log=log, tail="forged " * 1000)] for log in (None, "", "logs/0-1.log")),
    [raising(message="\0" * 1000, traceback="\x1b[31m", error_type="")],
    [lambda who: TrialLeft(**who)],
]


def train(trial: at.Trial) -> float:
    """Every second one says what cannot be; the others are as they always are."""
    x = trial.hp.Float("x", 0.0, 1.0)
    if trial.id % 2 == 0:
        trial.report(loss=x)
        return float(x)
    account: Any = trial._account
    for words in WORDS[trial.id // 2]:
        message = words({"trial": trial.id, "launch": trial.launch})
        account.line.send(encode(message, FromRunner))
        if isinstance(message, TrialReturned | TrialRaised | TrialLeft):
            os._exit(0)
    account.line.receive()  # an answer or a halt; or we are killed
    return -1.0


@pytest.mark.process
@pytest.mark.fault(18)
@pytest.mark.fault(19)
async def test_what_cannot_be_is_that_trials_failure_and_can_be_read_again(tmp_path: Path) -> None:
    before = snapshot()
    options: dict[str, Any] = {
        "space": {"x": at.Float(0, 1)},
        "objective": LOSS,
        "max_trials": 2 * len(WORDS),
        "storage": tmp_path / "search",
        "failure": at.FailurePolicy(max_consecutive_failed_trials=None),
        "limits": at.Limits(trial_time=20.0, grace=0.1),
        "seed": 0,
    }
    result = await at.search(train, executor=at.LocalExecutor(2), **options)

    assert all(trial.state.ended for trial in result.trials.values())
    for number, trial in result.trials.items():
        if number % 2 == 0:
            assert trial.state is at.State.COMPLETED, number
            assert trial.score == trial.values["x"]
        if trial.failure is not None:
            assert trial.failure.log == f"logs/{number}-{trial.launches}.log"
            assert "forged" not in trial.failure.tail
    kinds = [trial.failure.kind for trial in result.trials.values() if trial.failure is not None]
    assert kinds.count(FailureKind.TIMED_OUT) == 1  # the one that says so of itself
    again = await at.search(train, executor=at.LocalExecutor(2), **options)
    assert {n: (t.state, t.score) for n, t in again.trials.items()} == {n: (t.state, t.score) for n, t in result.trials.items()}
    assert len(read_records(tmp_path / "search")) > len(WORDS)
    nothing_left(before)


def files(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*")}


async def named(directory: Path, name: str, *, parameter: bool) -> set[str]:
    """The files that a search leaves, whose metric, and whose parameter, has this name."""

    async def train(trial: at.AsyncTrial) -> None:
        with trial.checkpoint() as place:
            (place / "weights").write_text("one")
        assert trial.directory.is_dir()
        await trial.report({"loss": 1.0, name: 2.0})

    observers: list[at.Observer] = [CSV(directory / "table.csv"), JSONLines(directory / "events.jsonl")]
    if at_tensorboard():
        observers.append(TensorBoard(directory / "board"))
    await at.search(
        train, {name if parameter else "x": at.Float(0, 1)}, objective=LOSS, max_trials=2, storage=directory / "search",
        executor=at.InlineExecutor(1), observers=observers, seed=0,
    )  # fmt: skip
    return files(directory)


def at_tensorboard() -> bool:
    try:
        TensorBoard()
    except ConfigurationError:
        return False
    return True


@pytest.mark.fault(37)
@pytest.mark.parametrize("name", ODD_NAMES)
async def test_no_path_is_made_of_a_name(tmp_path: Path, name: str) -> None:
    plain = await named(tmp_path / "plain", "metric", parameter=False)

    assert await named(tmp_path / "metric", name, parameter=False) == plain
    try:
        assert await named(tmp_path / "parameter", name, parameter=True) == plain
    except SpaceError:  # a name that nobody can read; then nothing was begun
        assert not (tmp_path / "parameter" / "search").exists()


@pytest.mark.fault(37)
@pytest.mark.process
async def test_a_link_in_the_place_of_a_trials_directory_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()

    def train(trial: at.Trial) -> float:
        if trial.id == 0:
            (trial.directory.parent / "1").symlink_to(outside)
        (trial.directory / "mine").touch()
        return 1.0

    result = await at.search(
        train, {"x": at.Float(0, 1)}, objective=LOSS, max_trials=3, storage=tmp_path / "search", executor=at.LocalExecutor(1),
    )  # fmt: skip

    assert [trial.state.value for trial in result.trials.values()] == ["COMPLETED", "FAILED", "COMPLETED"]
    failure = result.trials[1].failure
    assert failure is not None
    assert "is a link" in failure.message
    assert files(outside) == set()
