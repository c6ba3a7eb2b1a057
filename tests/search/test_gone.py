"""A checkpoint that the journal names and that is not on the disk: its trial goes on from less, and it is said."""

from __future__ import annotations

import asyncio
import io
import logging
import shutil
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

import asynctune as at
from asynctune._engine.checkup import checkup
from asynctune._engine.journal import read_records
from asynctune._engine.repair import repair
from asynctune.errors import StorageError
from asynctune.events import CheckpointGone, Reported, Started
from asynctune.records import CheckpointKey
from asynctune.testing import check_history
from tests.journal.written import execute

STEPS = 6
GIVEN: dict[str, Any] = {"objective": at.Objective("loss", "min"), "max_trials": 1, "seed": 0}

pytestmark = pytest.mark.fault(14)


def steps(last: int = STEPS) -> Callable[[at.AsyncTrial], Coroutine[Any, Any, None]]:
    """A trial that goes on from its checkpoint to this step, and waits there if it is not the last."""

    async def train(trial: at.AsyncTrial) -> None:
        restored = trial.restore()
        assert trial.step == (0 if restored is None else int((restored / "step").read_text()))
        for step in range(trial.step + 1, last + 1):
            with trial.checkpoint() as directory:
                (directory / "step").write_text(str(step))
            await trial.report(loss=1.0 / step)
        if last < STEPS:
            await asyncio.Event().wait()

    return train


async def leave_behind(step: int, directory: Path, **options: Any) -> None:
    """A search of one trial, left when it has reported this step."""
    given = {**GIVEN, "storage": directory, "limits": at.Limits(grace=0), **options}
    async with at.Search(steps(step), executor=at.InlineExecutor(1), **given) as running:
        async for event in running.events():
            if any(isinstance(happening, Reported) and happening.step == step for happening in event.happened):
                break


async def go_on(directory: Path, **options: Any) -> tuple[at.Result, list[CheckpointKey], Started]:
    """The search, opened again and run to its end; what it found gone, and how its trial went on."""
    before = len(read_records(directory))
    result = await at.search(steps(), executor=at.InlineExecutor(1), storage=directory, **GIVEN, **options)
    happened = [each for record in read_records(directory)[before:] for each in record.happened]
    (started,) = [each for each in happened if isinstance(each, Started)]
    check_history(directory)
    return result, [each.checkpoint for each in happened if isinstance(each, CheckpointGone)], started


def key(step: int) -> CheckpointKey:
    return CheckpointKey(0, step, 1)


@pytest.mark.parametrize(
    ("removed", "step", "says"),
    [
        ([4], 3, "it goes on from that of step 3"),
        ([3, 4], 2, "it goes on from that of step 2"),
        ([2, 3, 4], 0, "it begins anew"),
        ([2], 4, None),
        ([], 4, None),
    ],
)
async def test_it_goes_on_from_the_newest_that_is_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, removed: list[int], step: int, says: str | None
) -> None:
    keep = at.CheckpointPolicy(keep=3)
    await leave_behind(4, tmp_path, checkpoints=keep)
    for each in removed:
        shutil.rmtree(tmp_path / "checkpoints" / "0" / f"{each}-1")
    doctor = checkup(tmp_path)
    assert (doctor.problems != []) == (says is not None)
    there = f"its checkpoint of step {step}" if step else "the start"
    assert f"trial 0 waits, and goes on from {there}" in "\n".join(doctor.lines)
    with caplog.at_level(logging.WARNING, "asynctune.search"):
        result, gone, started = await go_on(tmp_path, checkpoints=keep)
    assert gone == [key(each) for each in removed]
    assert (started.step, started.restore) == (step, key(step) if step else None)
    trial = result.trials[0]
    assert (trial.state, trial.attempt, trial.score) == (at.State.COMPLETED, 1, 1.0 / STEPS)
    assert [report.step for report in trial.reports] == list(range(1, STEPS + 1))
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == ([] if says is None else [f"trial 0 was to go on from {key(4)}, which is gone: {says}"])


async def test_after_a_repair_that_went_back_to_before_it_was_deleted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    await leave_behind(4, tmp_path)
    reports = [record.seq for record in read_records(tmp_path) if any(isinstance(each, Reported) for each in record.happened)]
    execute(tmp_path, "update records set chain = x'00' where seq = ?", reports[2])
    assert repair(tmp_path) is not None
    doctor = checkup(tmp_path)
    assert "gone are those that unfinished trials would go on from: trial 0, step 2" in doctor.problems[0]
    assert "goes on from the start, as its checkpoints are gone" in "\n".join(doctor.lines)
    with caplog.at_level(logging.WARNING, "asynctune.search"):
        result, gone, started = await go_on(tmp_path)
    # What is on the disk is of step 4, which nobody has reported any more.
    assert (gone, started.step, started.restore) == ([key(2)], 0, None)
    assert (result.trials[0].state, result.trials[0].launches) == (at.State.COMPLETED, 2)
    assert "which is gone: it begins anew" in caplog.text


async def test_what_an_ended_trial_has_saved_is_its_users_affair(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    given: dict[str, Any] = {**GIVEN, "executor": at.InlineExecutor(1), "storage": tmp_path}
    first = await at.search(steps(), **given)
    shutil.rmtree(tmp_path / "checkpoints")
    with caplog.at_level(logging.WARNING, "asynctune.search"):
        again = await at.search(steps(), **{**given, "executor": at.InlineExecutor(1)})
    assert again.trials[0] == first.trials[0]
    assert caplog.records == []
    with pytest.raises(StorageError, match=r"after step 6 \(launch 1\) is not in"):
        again.checkpoint(again.trials[0])


async def test_watchers_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    shown = io.StringIO()
    await leave_behind(4, tmp_path)
    shutil.rmtree(tmp_path / "checkpoints")
    with caplog.at_level(logging.WARNING, "mine"):
        await go_on(tmp_path, observers=[at.observers.Logging("mine"), at.observers.Display(stream=shown)])
    assert "trial 0: its checkpoint of step 4 (launch 1) is gone" in caplog.text
    assert "trial   0  its checkpoint of step 4 is gone" in shown.getvalue()
