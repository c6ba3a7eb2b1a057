"""Trainables that are classes: stepped, saved, loaded, reset and cleaned up for their author."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import asynctune as at
from asynctune.checkpoints import DirectoryStore
from asynctune.errors import ConfigurationError, TrainableError
from asynctune.events import CheckpointSaved, Started
from asynctune.testing import check_history
from tests.search.stepping import STEPS, WEIGHT, Adds, Dies, Follows, Forgets, TakesItAll, lived, notes

each_step = [f"step {step}" for step in range(1, STEPS + 1)]


def kept(storage: Path) -> list[tuple[int, int]]:
    keys = DirectoryStore(storage / "checkpoints").keys()
    return sorted((key.trial, key.step) for key in keys)


# ----------------------------------------------------------------------------------------------------------- to the end


@pytest.mark.process
def test_it_is_stepped_saved_and_cleaned_up_until_it_is_done(tmp_path: Path) -> None:
    policy = at.CheckpointPolicy(every=3, at_end=True)
    result = lived(tmp_path / "search", checkpoints=policy)
    assert [(trial.score, trial.step, trial.stop_reason) for trial in result.trials.values()] == [(8, 8, None), (80, 8, None)]
    assert result.trials[1].reports[1].metrics == {"weight": 20, "deep/half": 10}
    done = ["setup", *each_step[:3], "save 3", *each_step[3:6], "save 6", *each_step[6:], "save 8", "cleanup"]
    assert notes(tmp_path / "search", 0) == notes(tmp_path / "search", 1) == done
    assert kept(tmp_path / "search") == [(0, 8), (1, 8)]
    check_history(tmp_path / "search")


@pytest.mark.process
def test_one_that_cannot_be_saved_is_not(tmp_path: Path) -> None:
    lived(tmp_path / "search", Forgets)
    assert notes(tmp_path / "search", 0) == ["setup", *each_step, "cleanup"]


@pytest.mark.process
def test_what_it_has_saved_goes_with_it_where_nothing_is_to_be_left(tmp_path: Path) -> None:
    lived(tmp_path / "search", checkpoints=at.CheckpointPolicy(keep=0))
    assert kept(tmp_path / "search") == []


@pytest.mark.process
def test_one_that_is_stopped_is_saved_at_its_end_if_that_is_wanted(tmp_path: Path) -> None:
    policy = at.CheckpointPolicy(every=None, at_end=True)
    lived(tmp_path / "search", checkpoints=policy, stop=at.stoppers.MaxSteps(3))
    assert notes(tmp_path / "search", 0) == ["setup", *each_step[:3], "save 3", "cleanup"]
    assert kept(tmp_path / "search") == [(0, 3), (1, 3)]
    check_history(tmp_path / "search")


class AddsAsync(at.Trainable):
    async def setup(self, config: dict[str, Any]) -> None:
        self.x, self.weight, self.steps, self.told = config["x"], 0, 0, ["setup"]

    async def step(self) -> Mapping[str, Any]:
        self.steps += 1
        self.weight += self.x
        self.told.append(f"step {self.steps}")
        return {"weight": self.weight, "done": self.steps == 3}

    async def save_checkpoint(self, directory: Path) -> None:
        (directory / "weight").write_text(str(self.weight))
        self.told.append(f"save {self.steps}")

    async def load_checkpoint(self, directory: Path) -> None:
        raise AssertionError("nothing is to be gone on from")

    async def cleanup(self) -> None:
        (self.trial.directory / "notes").write_text("\n".join([*self.told, "cleanup"]))


@pytest.mark.parametrize("executor", [at.InlineExecutor(2), at.LocalExecutor(1)], ids=["inline", "local"])
@pytest.mark.process
def test_its_methods_can_be_awaited(tmp_path: Path, executor: Any) -> None:
    result = lived(tmp_path / "search", AddsAsync, executor=executor, checkpoints=at.CheckpointPolicy(every=2))
    assert [trial.score for trial in result.trials.values()] == [3, 30]
    assert notes(tmp_path / "search", 1) == ["setup", "step 1", "step 2", "save 2", "step 3", "cleanup"]
    assert kept(tmp_path / "search") == [(0, 2), (1, 2)]


# ------------------------------------------------------------------------------------------------ set aside, and going on


class Turns(at.Scheduler):
    """Sets each trial aside at step 3."""

    def on_trial_result(self, trial: at.TrialView, report: at.Report) -> Any:
        return at.PAUSE if report.step == 3 else None


@pytest.mark.process
def test_one_that_is_set_aside_waits_with_its_process(tmp_path: Path) -> None:
    lived(tmp_path / "search", scheduler=Turns(), checkpoints=at.CheckpointPolicy(every=None))
    assert notes(tmp_path / "search", 0) == ["setup", *each_step, "cleanup"]


@pytest.mark.process
def test_where_it_cannot_wait_it_is_saved_and_loses_nothing(tmp_path: Path) -> None:
    result = lived(
        tmp_path / "search",
        scheduler=Turns(),
        checkpoints=at.CheckpointPolicy(every=None),
        parking=at.Parking(max_trials=0),
    )
    assert [trial.score for trial in result.trials.values()] == [8, 80]
    done = ["setup", *each_step[:3], "save 3", "cleanup", "setup", "load 3", *each_step[3:], "cleanup"]
    assert notes(tmp_path / "search", 0) == done
    check_history(tmp_path / "search")


class Waits(AddsAsync):
    """The second trial waits in its first step until it is let go."""

    async def step(self) -> Mapping[str, Any]:
        if self.trial.id == 1:
            await self.trial.data["free"].wait()
        return await super().step()

    async def load_checkpoint(self, directory: Path) -> None:
        self.weight, self.steps = int((directory / "weight").read_text()), self.trial.step


class HoldsAt(at.Scheduler):
    """Sets each trial aside at step 2."""

    def on_trial_result(self, trial: at.TrialView, report: at.Report) -> Any:
        return at.PAUSE if report.step == 2 else None


async def test_when_the_search_is_left_what_waits_is_saved(tmp_path: Path) -> None:
    free = asyncio.Event()
    options: dict[str, Any] = {
        "objective": WEIGHT,
        "max_trials": 2,
        "scheduler": HoldsAt(),
        "checkpoints": at.CheckpointPolicy(every=None),
        "storage": tmp_path / "search",
        "executor": at.InlineExecutor(1),
        "limits": at.Limits(grace=0.2),
        "data": {"free": free},
        "try_first": [{"x": 5}, {"x": 6}],
        "seed": 1,
    }
    async with at.Search(Waits, {"x": at.Int(5, 6)}, **options) as search:
        async for event in search.events():
            if any(isinstance(what, Started) and what.trial == 1 for what in event.happened):
                break
    free.set()
    async with at.Search(Waits, {"x": at.Int(5, 6)}, **options) as search:
        saved = [what async for event in search.events() for what in event.happened if isinstance(what, CheckpointSaved)]
        result = await search.result()
    assert [(what.trial, what.checkpoint.step, what.size) for what in saved] == [(0, 2, 2)]
    assert [(trial.score, trial.launches) for trial in result.trials.values()] == [(15, 2), (18, 2)]
    check_history(tmp_path / "search", scheduler=HoldsAt())


@pytest.mark.process
def test_killed_in_the_middle_it_goes_on_from_its_last_step(tmp_path: Path) -> None:
    result = lived(tmp_path / "search", Dies, failure=at.FailurePolicy(max_retries_per_trial=1))
    assert [trial.score for trial in result.trials.values()] == [8, 80]
    told = [note for note in notes(tmp_path / "search", 0) if not note.startswith("save")]
    assert told == ["setup", *each_step[:4], "setup", "load 4", *each_step[4:], "cleanup"]
    check_history(tmp_path / "search")


@pytest.mark.process
def test_when_everything_is_killed_the_search_goes_on(tmp_path: Path) -> None:
    storage = tmp_path / "search"
    code = f"from pathlib import Path; from tests.search.stepping import *; lived(Path({str(storage)!r}), TakesItAll)"
    ended = subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[2])
    assert ended.returncode == -9
    result = lived(storage, TakesItAll)
    assert [trial.score for trial in result.trials.values()] == [8, 80]
    assert "load 2" in notes(storage, 0)
    check_history(storage)


@pytest.mark.process
def test_one_goes_on_as_another_without_a_loop_of_the_users(tmp_path: Path) -> None:
    result = lived(tmp_path / "search", scheduler=Follows(), executor=at.LocalExecutor(2))
    follower = result.trials[0]
    if follower.lineage:  # it may have been over before the other had saved anything
        step = follower.lineage[0].checkpoint.step
        assert follower.score == 10 * step + 11 * (STEPS - step)
        assert f"load {step}" in notes(tmp_path / "search", 0)
    assert result.trials[1].score == 80
    check_history(tmp_path / "search", scheduler=Follows())


# ------------------------------------------------------------------------------------------- several trials in a process


class Resets(Adds):
    def reset_config(self, config: dict[str, Any]) -> bool:
        self.note("reset")
        if config["x"] == 2:
            return False
        self.x, self.weight, self.steps = config["x"], 0, 0
        return True


@pytest.mark.process
def test_in_a_process_that_is_used_again_it_becomes_the_next_trial(tmp_path: Path) -> None:
    result = lived(
        tmp_path / "search",
        Resets,
        try_first=[{"x": 1}, {"x": 10}, {"x": 2}],
        max_trials=3,
        executor=at.LocalExecutor(1, isolation="worker"),
        checkpoints=at.CheckpointPolicy(every=None),
    )
    assert [trial.score for trial in result.trials.values()] == [8, 80, 16]
    assert notes(tmp_path / "search", 0) == ["setup", *each_step]
    assert notes(tmp_path / "search", 1) == ["reset", *each_step]
    # The one that said no is cleaned up, as the trial that it refused to become; the new one ends with the process.
    assert notes(tmp_path / "search", 2)[: 3 + len(each_step)] == ["reset", "cleanup", "setup", *each_step]


# ------------------------------------------------------------------------------------------------------- what goes wrong


class Raises(Adds):
    def setup(self, config: dict[str, Any]) -> None:
        super().setup(config)
        if config["x"] == 10:
            raise OSError("no such file")

    def step(self) -> Mapping[str, Any]:
        raise ValueError("no")

    def cleanup(self) -> None:
        super().cleanup()
        raise KeyError("too late")


@pytest.mark.process
def test_whatever_raises_it_is_cleaned_up(tmp_path: Path) -> None:
    result = lived(tmp_path / "search", Raises, failure=at.FailurePolicy(max_consecutive_failed_trials=None))
    failures = [trial.failure for trial in result.trials.values()]
    assert [failure and failure.message for failure in failures] == ["ValueError: no", "OSError: no such file"]
    assert all(failure and "its cleanup() raised KeyError: 'too late'" in (failure.traceback or "") for failure in failures)
    assert [notes(tmp_path / "search", trial) for trial in (0, 1)] == [["setup", "cleanup"]] * 2


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (None, r"Says.step\(\) must return a dict of metrics, not NoneType"),
        ({"weight": 1, "done": "yes"}, r"Says.step\(\) returned done='yes': it must be True or False"),
        ({"weight": "much"}, "metric 'weight' must be a number"),
        ({"a": {"b": 1}, "a/b": 2}, "metric 'a/b' is there twice"),
    ],
)
async def test_what_a_step_returns_is_looked_at(returned: Any, said: str) -> None:
    class Says(at.Trainable):
        async def step(self) -> Any:
            return returned

    options: dict[str, Any] = {"objective": WEIGHT, "max_trials": 1, "executor": at.InlineExecutor(1)}
    result = await at.search(Says, {"x": at.Int(1, 1)}, **options)
    failure = result.trials[0].failure
    assert failure is not None
    assert re.search(said, failure.message), failure.message


class NoStep(at.Trainable):
    pass


class Wants(Adds):
    def __init__(self, path: str) -> None:
        self.path = path


class OnlySaves(at.Trainable):
    def step(self) -> Mapping[str, Any]:
        return {}

    def save_checkpoint(self, directory: Path) -> None:
        pass


class HalfAsync(at.Trainable):
    def step(self) -> Mapping[str, Any]:
        return {}

    async def setup(self, config: dict[str, Any]) -> None:
        pass


class NoTrainable:
    def step(self) -> Mapping[str, Any]:
        return {}


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (NoStep, r"the class NoStep does not define step\(\)"),
        (
            Wants,
            r"the class Wants is made without arguments \(missing a required argument: 'path'\): pass what it needs as data=",
        ),
        (OnlySaves, r"the class OnlySaves defines save_checkpoint\(\) and not load_checkpoint\(\): they go together"),
        (HalfAsync, r"HalfAsync.setup\(\) is `async def`, and its step\(\) is not"),
        (NoTrainable, r"the class NoTrainable is no trainable: .* class NoTrainable\(asynctune.Trainable\)"),
    ],
)
def test_what_is_no_class_of_a_trainable_is_refused(kind: Any, said: str) -> None:
    with pytest.raises(TrainableError, match=said):
        at.Search(kind, objective=WEIGHT, max_trials=1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"scheduler": Follows()}, r"Follows has trials go on .*, and Forgets leaves none: define save_checkpoint\(\)"),
        ({"checkpoints": at.CheckpointPolicy()}, r"CheckpointPolicy\(...\) is given, and Forgets leaves none"),
    ],
)
def test_checkpoints_of_a_class_that_leaves_none_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        at.Search(Forgets, objective=WEIGHT, max_trials=1, **options)


def test_a_scheduler_that_needs_checkpoints_is_refused_where_none_are_written() -> None:
    with pytest.raises(ConfigurationError, match=r"CheckpointPolicy\(every=None\) writes none: give every=1"):
        at.Search(Adds, objective=WEIGHT, max_trials=1, scheduler=Follows(), checkpoints=at.CheckpointPolicy(every=None))


def test_a_class_whose_steps_block_is_refused_by_the_inline_executor() -> None:
    with pytest.raises(TrainableError, match=r"Adds.step\(\) is not one: it would block your loop"):
        at.run(Adds, {"x": at.Int(1, 1)}, objective=WEIGHT, max_trials=1, executor=at.InlineExecutor(1), display=False)
