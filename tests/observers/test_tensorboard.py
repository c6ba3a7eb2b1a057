"""What TensorBoard reads of a search: every report once, whatever became of the search, and how each trial ended."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import asynctune as at
from asynctune.errors import ConfigurationError
from asynctune.events import Started
from asynctune.observers import TensorBoard, Watched
from tests.observers.boards import Board, same
from tests.observers.searches import search, third_fails

ASYNC_SCRIPT = """
import os, signal, sys
import asynctune as at

async def train(trial):
    x = trial.hp.Float("x", 0.0, 1.0)
    for step in range(1, 4):
        await trial.report(step=step, loss=x + step)
        if trial.id == int(sys.argv[1]) and step == 2:
            os.kill(os.getpid(), signal.SIGKILL)
    if trial.id % 5 == 3 and trial.attempt == 1:
        raise ValueError("once")

class Quick(at.observers.TensorBoard):
    interval = 0.0

at.run(
    train, objective=at.Objective("loss", "min"), max_trials=30, executor=at.InlineExecutor(2), seed=0, storage="search",
    failure=at.FailurePolicy(max_retries_per_trial=1), observers=[Quick()], display=False,
)
"""


def agrees(board: Board, result: at.Result, tag: str = "loss") -> None:
    """Whether each trial's run has its reports, each once, and its row how it ended."""
    rows = board.rows()
    assert sorted(rows) == [f"trial_{number:05}" for number in result.trials]
    for number, trial in result.trials.items():
        run = f"trial_{number:05}"
        points = board.scalars(run)
        assert [step for step, _ in points.get(tag, [])] == [report.step for report in trial.reports]
        assert all(same(value, each.metrics[tag]) for (_, value), each in zip(points.get(tag, []), trial.reports, strict=True))
        failed = trial.state is at.State.FAILED
        assert rows[run].status == ("STATUS_FAILURE" if failed else "STATUS_SUCCESS")
        assert rows[run].values.keys() == trial.values.keys()
        if trial.score is None:
            assert "trial/score" not in points
        else:
            ((step, score),) = points["trial/score"]
            assert step == trial.step
            assert same(score, trial.score)


class Halve(at.Scheduler):
    def on_trial_result(self, trial: at.TrialView, report: at.Report) -> at.Stop | None:
        return at.Stop("enough") if trial.id % 2 and report.step == 2 else None


async def test_completed_stopped_and_failed_trials(tmp_path: Path) -> None:
    began = time.time()
    result = await search(third_fails, scheduler=Halve(), observers=[TensorBoard(tmp_path / "board")], max_trials=8)
    assert [trial.step for trial in result.trials.values()] == [3, 2] * 4
    board = Board(tmp_path / "board")
    agrees(board, result)
    assert all(began <= at_ <= time.time() for number in result.trials for at_ in board.times(f"trial_{number:05}"))
    experiment = board.experiment()
    assert [(each.name.tag, each.display_name) for each in experiment.metric_infos] == [
        ("trial/score", "score (loss)"),
        ("loss", "loss"),
    ]
    (lr,) = experiment.hparam_infos
    assert (lr.name, lr.domain_interval.min_value, lr.domain_interval.max_value) == ("lr", 1e-4, 1e-1)


async def test_values_and_metrics_of_every_kind(tmp_path: Path) -> None:
    async def train(trial: at.AsyncTrial) -> dict[str, float]:
        trial.hp.Choice("named", [None, 3, True, "x"], default=True)
        await trial.report(step=1, **{"loss": float("inf"), "a/b": float("nan")})
        await trial.report(step=7, **{"loss": -1.0, "a/b": 1e300})
        return {"loss": 2.0, "returned": 5.0}

    space = {
        "group": {"int": at.Int(1, 9), "log": at.Float(1.0, 8.0, sampling="log")},
        "text": at.Choice(["é", "\x1b"]),
        "numbers": at.Choice([1, 1.0, 2.5]),
        "flag": at.Boolean(),
        "none": None,
        "noise": at.Normal(0, 1),
        "function": at.Choice({"larger": max, "smaller": min}),
    }
    result = await search(train, space=space, observers=[TensorBoard(tmp_path)], max_trials=3)
    board = Board(tmp_path)
    points = board.scalars("trial_00001")
    assert points.pop("a/b")[1:] == [(7, float("inf"))]  # as a 32-bit float
    assert points == {
        "loss": [(1, float("inf")), (7, -1.0)],
        "returned": [(7, 5.0)],
        "trial/score": [(7, 2.0)],
    }
    for number, row in enumerate(board.rows().values()):
        given = dict(result.trials[number].values)
        assert row.values.pop("named") == str(given.pop("named"))
        assert row.values.pop("none") == str(given.pop("none"))
        assert row.values == given
    domains = {each.name: each for each in board.experiment().hparam_infos}
    assert list(domains["numbers"].domain_discrete) == [1.0, 2.5]
    assert list(domains["named"].domain_discrete) == ["None", "3", "True", "x"]
    assert list(domains["flag"].domain_discrete) == [False, True]
    assert list(domains["function"].domain_discrete) == ["larger", "smaller"]
    assert domains["noise"].WhichOneof("domain") is None  # a normal number has no bounds
    assert [name for name, each in domains.items() if not each.differs] == ["none"]


async def test_parameters_that_are_there_only_under_conditions(tmp_path: Path) -> None:
    class BySeed(at.Oracle):
        def populate_space(self, trial_id: int, space: at.Space) -> at.Suggestion:
            return at.Suggestion.run(space.sample(trial_id))

    async def train(trial: at.AsyncTrial) -> float:
        with trial.hp.conditional_scope("kind", "mlp"):
            trial.hp.Boolean("bias")
        return 1.0

    space = {
        "kind": at.Choice(["cnn", "mlp"]),
        "units": at.When("kind", "cnn", at.Int(1, 9)) | at.When("kind", "mlp", at.Int(20, 30)),
        "mixed": at.When("kind", "cnn", at.Int(1, 9)) | at.When("kind", "mlp", "none"),
        "once": at.When("kind", "cnn", 7),
    }
    result = await search(train, space=space, oracle=BySeed(), observers=[TensorBoard(tmp_path)], max_trials=6)
    board = Board(tmp_path)
    assert {trial.values["kind"] for trial in result.trials.values()} == {"cnn", "mlp"}
    for number, row in enumerate(board.rows().values()):
        given = result.trials[number].values
        assert row.values == {name: str(value) if name == "mixed" else value for name, value in given.items()}
        assert ("bias" in given) == (given["kind"] == "mlp")
    infos = {each.name: each for each in board.experiment().hparam_infos}
    assert sorted(infos) == ["bias", "kind", "mixed", "once", "units"]
    assert (infos["units"].domain_interval.min_value, infos["units"].domain_interval.max_value) == (1, 30)
    assert list(infos["mixed"].domain_discrete) == ["1", "none"]
    assert all(each.differs for each in infos.values())


async def test_trials_that_report_nothing(tmp_path: Path) -> None:
    async def train(trial: at.AsyncTrial) -> float:
        trial.hp.Int("n", 1, 9)
        if trial.id == 1:
            raise at.FailedTrialError("no")
        return 4.0

    await search(train, observers=[TensorBoard(tmp_path)], max_trials=2)
    board = Board(tmp_path)
    assert board.scalars("trial_00000") == {"loss": [(0, 4.0)], "trial/score": [(0, 4.0)]}
    assert board.scalars("trial_00001") == {}
    assert [row.status for row in board.rows().values()] == ["STATUS_SUCCESS", "STATUS_FAILURE"]


async def test_what_a_retry_reports_again_takes_the_place_of_what_was(tmp_path: Path) -> None:
    async def train(trial: at.AsyncTrial) -> float | None:
        for step in range(1, 5):
            if trial.attempt == 3 and trial.id == 1:
                return 7.0  # it stands on no report
            await trial.report(step=step, loss=step + 100.0 * trial.attempt)
            if step == 4 - trial.attempt > 1:
                raise ValueError("again")
        return None

    policy = at.FailurePolicy(max_retries_per_trial=2)
    result = await search(train, observers=[TensorBoard(tmp_path)], max_trials=3, failure=policy)
    board = Board(tmp_path)
    assert board.scalars("trial_00000")["loss"] == [(1, 301.0), (2, 302.0), (3, 303.0), (4, 304.0)]
    assert board.scalars("trial_00001") == {"loss": [(0, 7.0)], "trial/score": [(0, 7.0)]}
    assert result.trials[1].reports == ()


async def test_a_launch_without_a_checkpoint_that_begins_at_a_later_step_replaces_all_that_was(tmp_path: Path) -> None:
    async def train(trial: at.AsyncTrial) -> None:
        for step in (1, 2, 3) if trial.attempt == 1 else (5, 6):
            await trial.report(step=step, loss=step + 100.0 * trial.attempt)
        if trial.attempt == 1:
            raise ValueError("it goes on from what it keeps itself")

    policy = at.FailurePolicy(max_retries_per_trial=1)
    result = await search(train, observers=[TensorBoard(tmp_path)], max_trials=2, failure=policy)
    assert [report.step for report in result.trials[1].reports] == [5, 6]
    agrees(Board(tmp_path), result)


class UpToTheSecondLaunch(TensorBoard):
    """Writes each event as it comes, and nothing more once a trial was launched again: as if it were killed there."""

    interval = 0.0

    def __init__(self, log_dir: Path) -> None:
        super().__init__(log_dir)
        self.killed = False

    def on_events(self, events: Sequence[at.Event], search: Watched) -> None:
        for event in events:
            if self.killed:
                raise RuntimeError("killed")
            super().on_events([event], search)
            self.killed = any(isinstance(what, Started) and what.launch == 2 for what in event.happened)


async def test_what_a_launch_replaces_is_known_when_nobody_remembers_that_it_began(tmp_path: Path) -> None:
    storage, board = tmp_path / "search", tmp_path / "board"

    async def train(trial: at.AsyncTrial) -> None:
        for step in (1, 2, 3) if trial.attempt == 1 else (5, 6):
            await trial.report(step=step, loss=step + 100.0 * trial.attempt)
        if trial.attempt == 1:
            raise ValueError("again")

    policy = at.FailurePolicy(max_retries_per_trial=1)
    await search(train, storage=storage, observers=[UpToTheSecondLaunch(board)], max_trials=1, failure=policy)
    assert [step for step, _ in Board(board).scalars("trial_00000")["loss"]] == [1, 2, 3]
    result = await search(train, storage=storage, observers=[TensorBoard(board)], max_trials=1, failure=policy)
    agrees(Board(board), result)


async def test_what_is_returned_at_the_step_of_a_checkpoint_stands_there_once(tmp_path: Path) -> None:
    async def train(trial: at.AsyncTrial) -> dict[str, float]:
        if trial.restore() is not None:
            return {"loss": 9.0, "other": 8.0}
        with trial.checkpoint(1):
            pass
        await trial.report(step=1, loss=5.0)
        await trial.report(step=2, loss=4.0)
        raise ValueError("again")

    policy = at.FailurePolicy(max_retries_per_trial=1)
    result = await search(train, observers=[TensorBoard(tmp_path)], max_trials=1, failure=policy)
    assert [report.step for report in result.trials[0].reports] == [1]
    points = Board(tmp_path).scalars("trial_00000")
    assert points == {"loss": [(1, 5.0)], "other": [(1, 8.0)], "trial/score": [(1, 9.0)]}


@pytest.mark.process
def test_killed_and_resumed_it_has_everything_once(tmp_path: Path) -> None:
    for victim in (5, 11, 17):
        done = subprocess.run([sys.executable, "-c", ASYNC_SCRIPT, str(victim)], cwd=tmp_path, timeout=60, check=False)
        assert done.returncode == -signal.SIGKILL
    subprocess.run([sys.executable, "-c", ASYNC_SCRIPT, "-1"], cwd=tmp_path, timeout=60, check=True)
    result = asyncio.run(search(storage=tmp_path / "search", max_trials=30))
    agrees(Board(tmp_path / "search" / "tensorboard"), result)


async def test_a_resumed_search_goes_on_and_one_that_was_not_watched_is_told_from_the_start(tmp_path: Path) -> None:
    storage = tmp_path / "search"
    await search(storage=storage, max_trials=2)
    for count in (4, 6):
        result = await search(third_fails, storage=storage, max_trials=count, observers=[TensorBoard()])
        board = Board(storage / "tensorboard")
        agrees(board, result)
        assert [each.name for each in board.experiment().hparam_infos] == ["lr"]


@pytest.mark.parametrize("lost", ["ledger", "file", "tail"])
async def test_a_directory_that_has_lost_something_is_written_anew(lost: str, tmp_path: Path) -> None:
    board = tmp_path / "search" / "tensorboard"
    await search(storage=tmp_path / "search", max_trials=2, observers=[TensorBoard()])
    run = next((board / "trial_00001").iterdir())
    if lost == "ledger":
        (board / "asynctune.json").unlink()
    else:
        lengths = {str(run.relative_to(board)): run.stat().st_size}
        last = json.loads((board / "asynctune.json").read_bytes())["last"]
        (board / "asynctune.json").write_text(json.dumps({"last": last, "lengths": lengths}))
        os.truncate(run, 30)
        if lost == "file":
            run.unlink()
    result = await search(storage=tmp_path / "search", max_trials=4, observers=[TensorBoard()])
    agrees(Board(board), result)


async def test_what_cannot_be_written_is_tried_again_and_written_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    storage, board = tmp_path / "search", tmp_path / "board"
    board.mkdir()
    (board / "trial_00002").touch()  # where a directory is wanted
    await search(storage=storage, observers=[TensorBoard(board)], max_trials=4)
    assert "observer TensorBoard is cut off after 3 failures in a row" in caplog.text
    (board / "trial_00002").unlink()
    result = await search(storage=storage, observers=[TensorBoard(board)], max_trials=6)
    agrees(Board(board), result)


class Descriptors(TensorBoard):
    """Counts the descriptors of this process between two batches."""

    interval = 0.01

    def __init__(self, log_dir: Path) -> None:
        super().__init__(log_dir)
        self.most = 0

    def on_events(self, events: Sequence[at.Event], search: Watched) -> None:
        super().on_events(events, search)
        paths = [os.path.realpath(f"/proc/self/fd/{each}") for each in os.listdir("/proc/self/fd")]
        self.most = max(self.most, sum("tfevents" in path for path in paths))


async def test_no_file_is_kept_open(tmp_path: Path) -> None:
    observer = Descriptors(tmp_path)
    result = await search(observers=[observer], max_trials=300, executor=at.InlineExecutor(100))
    assert observer.most == 0
    agrees(Board(tmp_path), result)


@pytest.mark.process
def test_it_imports_neither_numpy_nor_tensorflow(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys\nfrom asynctune.observers import TensorBoard\nfrom tests.observers.searches import search\n"
        f"asyncio.run(search(observers=[TensorBoard({str(tmp_path)!r})]))\n"
        "print(*{'numpy', 'tensorflow', 'keras'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == ""
    assert (tmp_path / "trial_00000").is_dir()


@pytest.mark.parametrize("directory", [True, False])
def test_without_the_package_it_says_what_to_install(directory: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if directory:
        (tmp_path / "tensorboard").mkdir()
        monkeypatch.delitem(sys.modules, "tensorboard", raising=False)
        monkeypatch.setattr(sys, "path", [str(tmp_path)])
    else:
        monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ConfigurationError, match=r'pip install "asynctune\[tensorboard\]"'):
        TensorBoard()


@pytest.mark.parametrize("given", [3, b"x", "", "a\0b"])
def test_what_is_no_directory(given: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"TensorBoard\(\.\.\.\) takes the path of a directory"):
        TensorBoard(given)
