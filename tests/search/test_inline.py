"""Whole searches in this process, through the public face."""

from __future__ import annotations

import asyncio
import contextlib
import math
from pathlib import Path
from typing import Any

import pytest

import asynctune as at
from asynctune.errors import CapabilityError, ConfigurationError, ObjectiveError, ResumeError, SearchError, SpaceError
from asynctune.events import AttemptFailed, Finished, SearchEnded, SearchOpened, Started
from asynctune.failure import FailureKind
from asynctune.testing.leftovers import nothing_left, snapshot

LOSS = at.Objective("loss", "min")


async def descend(trial: at.AsyncTrial) -> None:
    lr = trial.hp.Float("lr", 1e-4, 1e-1, sampling="log")
    for step in range(1, 4):
        await trial.report(step=step, loss=lr / step)


async def search(trainable: Any, **options: Any) -> at.Result:
    given: dict[str, Any] = {"objective": LOSS, "executor": at.InlineExecutor(4), "seed": 0, "max_trials": 6, **options}
    return await at.search(trainable, **given)


def outcomes(result: at.Result) -> dict[int, Any]:
    return {trial.id: (trial.values, trial.score) for trial in result.trials.values()}


async def test_a_search_finds_the_best_and_leaves_nothing() -> None:
    before = snapshot()
    with await search(descend) as result:
        assert [trial.state for trial in result.trials.values()] == [at.State.COMPLETED] * 6
        assert result.best_trial is not None
        assert result.best_trial.score == min(trial.score for trial in result.trials.values() if trial.score is not None)
        assert all([report.step for report in trial.reports] == [1, 2, 3] for trial in result.trials.values())
    nothing_left(before)


async def test_the_same_seed_gives_the_same_trials_with_any_number_of_workers() -> None:
    one, many = [await search(descend, executor=at.InlineExecutor(workers)) for workers in (1, 5)]
    assert outcomes(one) == outcomes(many)


async def test_a_number_a_dict_and_a_list_are_results() -> None:
    async def train(trial: at.AsyncTrial) -> Any:
        return [3.0, {"loss": 3.0, "other": 1.0}, [{"loss": 2.0}, {"loss": 4.0}]][trial.id % 3]

    result = await search(train, max_trials=3)
    assert [trial.score for trial in result.trials.values()] == [3.0, 3.0, 3.0]


async def test_events_are_numbered_without_gaps_and_can_be_read_again(tmp_path: Path) -> None:
    async with at.Search(descend, objective=LOSS, executor=at.InlineExecutor(2), max_trials=3, storage=tmp_path) as running:
        live = [event async for event in running.events()]
        again = [event async for event in running.events(from_seq=4)]
    assert [event.seq for event in live] == list(range(1, len(live) + 1))
    assert again == live[3:]
    kinds = [type(happening) for event in live for happening in event.happened]
    assert kinds[0] is SearchOpened
    assert kinds[-1] is SearchEnded
    assert kinds.count(Started) == kinds.count(Finished) == 3


async def test_a_finished_search_is_not_run_again(tmp_path: Path) -> None:
    first = await search(descend, storage=tmp_path)

    async def never(trial: at.AsyncTrial) -> None:
        raise AssertionError("it ran again")

    second = await search(never, storage=tmp_path)
    assert outcomes(second) == outcomes(first)


async def test_more_trials_go_on_where_the_search_ended(tmp_path: Path) -> None:
    whole = await search(descend, max_trials=9)
    await search(descend, storage=tmp_path, max_trials=4)
    more = await search(descend, storage=tmp_path, max_trials=9)
    assert outcomes(more) == outcomes(whole)


async def test_leaving_early_sets_aside_what_runs_and_it_can_be_resumed(tmp_path: Path) -> None:
    reported = asyncio.Event()

    async def endless(trial: at.AsyncTrial) -> None:
        await trial.report(loss=1.0)
        reported.set()
        await asyncio.Event().wait()

    options: dict[str, Any] = {"objective": LOSS, "max_trials": 3, "storage": tmp_path, "limits": at.Limits(grace=0.1)}
    async with at.Search(endless, executor=at.InlineExecutor(1), **options) as running:
        await reported.wait()
    with pytest.raises(SearchError, match="resumed"):
        await running.result()
    async with at.Search(descend, executor=at.InlineExecutor(1), **options) as running:
        result = await running.result()
        assert running.divergences == ()
    assert [trial.state for trial in result.trials.values()] == [at.State.COMPLETED] * 3
    assert result.trials[0].attempt == 1
    assert result.trials[0].launches == 2


@pytest.mark.fault(29)
async def test_what_another_search_recorded_is_refused_by_name(tmp_path: Path) -> None:
    space = {"lr": at.Float(1e-4, 1e-1, sampling="log")}
    await search(descend, space=space, storage=tmp_path)
    with pytest.raises(ResumeError, match="objective"):
        await search(descend, space=space, storage=tmp_path, objective=at.Objective("loss", "max"))
    with pytest.raises(ResumeError, match="'lr' was"):
        await search(descend, space={"lr": at.Float(1e-3, 1e-1, sampling="log")}, storage=tmp_path)
    with pytest.raises(ResumeError, match="scheduler"):
        await search(descend, space=space, storage=tmp_path, scheduler=at.schedulers.ASHA(max_steps=9))
    with pytest.raises(ResumeError, match="seed"):
        await search(descend, space=space, storage=tmp_path, seed=7)
    with pytest.raises(ResumeError, match="overwrite"):
        await search(descend, space=space, storage=tmp_path, resume="never")
    again = await search(descend, space=space, storage=tmp_path, max_trials=7)
    assert len(again.trials) == 7
    adopted = await search(
        descend, space=space, storage=tmp_path, max_trials=8, scheduler=at.schedulers.ASHA(max_steps=9), resume="adopt"
    )
    assert len(adopted.trials) == 8
    fresh = await search(descend, space=space, storage=tmp_path, max_trials=2, overwrite=True)
    assert len(fresh.trials) == 2


async def test_overwriting_leaves_nothing_running(tmp_path: Path) -> None:
    await search(descend, storage=tmp_path)
    before = snapshot()
    again = await search(descend, storage=tmp_path, overwrite=True, max_trials=2)
    assert len(again.trials) == 2
    nothing_left(before)


async def test_must_wants_a_search_that_is_there(tmp_path: Path) -> None:
    with pytest.raises(ResumeError, match="auto"):
        await search(descend, storage=tmp_path, resume="must")


async def test_a_trial_that_raises_is_tried_again_and_hurts_nobody() -> None:
    async def train(trial: at.AsyncTrial) -> float:
        if trial.id == 1 and trial.attempt == 1:
            raise RuntimeError("not today")
        return float(trial.id)

    result = await search(train, failure=at.FailurePolicy(max_retries_per_trial=1))
    assert [trial.state for trial in result.trials.values()] == [at.State.COMPLETED] * 6
    assert result.trials[1].attempt == 2
    assert result.trials[1].failure is None


async def test_the_objective_that_no_report_carries_is_named_with_what_was_there() -> None:
    async def train(trial: at.AsyncTrial) -> None:
        await trial.report(accuracy=0.5, val_loss=1.0)

    with pytest.raises(ObjectiveError, match=r"'accuracy', 'val_loss'.*'loss'"):
        await search(train)


async def test_a_fatal_error_ends_the_search_as_itself() -> None:
    async def train(trial: at.AsyncTrial) -> None:
        raise at.FatalValueError("the data is wrong")

    with pytest.raises(at.FatalValueError, match="the data is wrong"):
        await search(train)


async def test_too_many_failures_in_a_row_end_the_search_with_what_they_were() -> None:
    async def train(trial: at.AsyncTrial) -> None:
        raise ValueError(f"bad luck in {trial.id}")

    with pytest.raises(at.errors.TooManyFailuresError, match=r"3 trials in a row.*ValueError in trial") as ended:
        await search(train, executor=at.InlineExecutor(1))
    assert ended.value.failures == {"ValueError": 3}


async def test_a_group_of_errors_means_what_is_in_it() -> None:
    async def raises(error: Exception) -> None:
        raise error

    async def train(trial: at.AsyncTrial) -> float:
        error = [ConnectionError("reset"), at.FailedTrialError("too large"), KeyError("x")][min(trial.id, 2)]
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(raises(error))
        return 1.0

    policy = at.FailurePolicy(max_retries_per_trial=2, rules={OSError: "retry", Exception: "fail"})
    with pytest.raises(at.errors.TooManyFailuresError) as ended:
        await search(train, executor=at.InlineExecutor(1), failure=policy)
    assert ended.value.failures == {"ConnectionError": 1, "asynctune.errors.FailedTrialError": 1, "KeyError": 1}


async def test_a_fatal_error_in_a_group_ends_the_search_as_itself() -> None:
    async def train(trial: at.AsyncTrial) -> float:
        raise ExceptionGroup("both", [ValueError("one"), ExceptionGroup("in", [at.FatalTypeError("no such column")])])

    with pytest.raises(at.FatalTypeError, match="no such column"):
        await search(train)


async def test_another_attempt_waits_as_long_as_the_policy_says() -> None:
    async def train(trial: at.AsyncTrial) -> float:
        if trial.attempt < 3:
            raise OSError("reset")
        return 1.0

    policy = at.FailurePolicy(max_retries_per_trial=2, delay=0.05, jitter=0)
    options: dict[str, Any] = {"objective": LOSS, "executor": at.InlineExecutor(1), "max_trials": 1, "failure": policy}
    due, waited = 0.0, []
    async with at.Search(train, **options) as running:
        async for event in running.events():
            for happening in event.happened:
                if isinstance(happening, AttemptFailed):
                    assert happening.due is not None
                    due, wait = happening.due, happening.due - event.at
                    waited.append(round(wait, 6))
                elif isinstance(happening, Started):
                    assert event.at >= due
        assert (await running.result()).trials[0].state is at.State.COMPLETED
    assert waited == [0.05, 0.1]


async def test_a_trial_whose_values_cannot_be_tried_leaves_and_is_no_failure() -> None:
    async def deep(trial: at.AsyncTrial) -> None:
        trial.infeasible(f"{trial.values['x']} is too much")

    async def train(trial: at.AsyncTrial) -> float:
        trial.hp.Int("x", 0, 9)
        if trial.id == 1:
            trial.infeasible("too large")
        if trial.id == 2:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(deep(trial))
        if trial.id == 3:
            with contextlib.suppress(BaseException):
                trial.infeasible("said all the same")
        if trial.id == 4:
            trial.infeasible(4)  # type: ignore[arg-type]
        return float(trial.id)

    result = await search(train, executor=at.InlineExecutor(1), failure=at.FailurePolicy(max_consecutive_failed_trials=2))
    trials = list(result.trials.values())
    reasons = [
        None,
        "infeasible: too large",
        f"infeasible: {trials[2].values['x']} is too much",
        "infeasible: said all the same",
    ]
    assert [trial.stop_reason for trial in trials[:4]] == reasons
    assert [trial.state for trial in trials[:4]] == [at.State.COMPLETED] * 4
    assert [trial.score for trial in trials] == [0.0, None, None, None, None, 5.0]
    assert trials[4].failure is not None
    assert "infeasible() takes a reason, as a string, not int" in trials[4].failure.message


async def test_a_score_that_is_not_finite_can_rank_last() -> None:
    async def train(trial: at.AsyncTrial) -> float:
        return math.nan if trial.id == 1 else float(trial.id)

    result = await search(train, failure=at.FailurePolicy(non_finite="worst"), max_trials=3)
    assert [(trial.state, trial.score) for trial in result.trials.values()] == [
        (at.State.COMPLETED, 0.0),
        (at.State.COMPLETED, None),
        (at.State.COMPLETED, 2.0),
    ]
    assert [trial.id for trial in result.best_trials()] == [0, 2]


async def test_commands_are_obeyed_or_refused() -> None:
    release, started = asyncio.Event(), asyncio.Event()

    async def train(trial: at.AsyncTrial) -> float:
        await trial.report(loss=float(trial.id))
        started.set()
        while not trial.should_stop and not release.is_set():
            await asyncio.sleep(0)
        return float(trial.id)

    space = {"x": at.Int(0, 100)}
    async with at.Search(train, space, objective=LOSS, executor=at.InlineExecutor(1), max_trials=3, seed=0) as running:
        await started.wait()
        with pytest.raises(ConfigurationError, match="no trial 17"):
            await running.stop_trial(17)
        with pytest.raises(ConfigurationError, match="takes one of its values, not 1000"):
            await running.enqueue({"x": 1000})
        await running.enqueue({"x": 42})
        await running.stop_trial(0, "enough of it")
        release.set()
        result = await running.result()
        with pytest.raises(ConfigurationError, match="over"):
            await running.stop_trial(1)
    assert result.trials[0].stop_reason == "enough of it"
    assert result.trials[0].score == 0.0
    assert 42 in [trial.values["x"] for trial in result.trials.values()]


async def test_what_a_trial_was_handed_is_on_record(tmp_path: Path) -> None:
    async def train(trial: Any) -> float:
        if trial.id < 2:
            with trial.hp.name_scope("adam"):
                return float(abs(trial.hp.Float("lr", 0.0, 1.0) - 0.3))
        with trial.hp.name_scope("elsewhere"):
            return float(abs(trial.values["adam/lr"] - 0.3) / 100)

    result = await at.search(train, objective=LOSS, max_trials=6, seed=0, executor=at.InlineExecutor(1), storage=tmp_path)
    assert all(trial.values.keys() == {"adam/lr"} for trial in result.trials.values())
    assert len({trial.values["adam/lr"] for trial in result.trials.values()}) == 6


async def test_what_no_trial_has_named_yet_can_be_enqueued() -> None:
    go_on = asyncio.Event()

    async def train(trial: at.AsyncTrial) -> float:
        await go_on.wait()
        x = trial.hp.Float("x", 0, 1)
        return trial.hp.Float("y", 0, 1) + x if x == 0.25 else x

    async with at.Search(train, objective=LOSS, executor=at.InlineExecutor(1), max_trials=4, seed=0) as running:
        await running.enqueue({"x": 0.25, "y": 0.5})
        await running.enqueue({"x": 0.125, "z": "nobody asks for it"})
        await running.enqueue({"x": 7})
        go_on.set()
        result = await running.result()
    found = [(trial.values, trial.score) for trial in result.trials.values()]
    assert ({"x": 0.25, "y": 0.5}, 0.75) in found
    assert ({"x": 0.125}, 0.125) in found
    (failed,) = [trial for trial in result.trials.values() if trial.state is at.State.FAILED]
    assert failed.failure is not None
    assert failed.failure.message.endswith("parameter 'x': Float(0.0 to 1.0) takes one of its values, not 7")


async def test_what_was_enqueued_before_it_was_known_is_there_when_it_is_resumed(tmp_path: Path) -> None:
    started = asyncio.Event()

    async def waits(trial: at.AsyncTrial) -> float:
        started.set()
        await asyncio.Event().wait()
        return 1.0

    async def train(trial: at.AsyncTrial) -> float:
        return trial.hp.Float("x", 0, 1)

    options: dict[str, Any] = {"objective": LOSS, "max_trials": 3, "storage": tmp_path, "limits": at.Limits(grace=0)}
    async with at.Search(waits, executor=at.InlineExecutor(1), **options) as running:
        await started.wait()
        await running.enqueue({"x": 0.25})
    result = await at.search(train, executor=at.InlineExecutor(1), **options)
    assert {"x": 0.25} in [trial.values for trial in result.trials.values()]


async def test_pause_starts_nothing_new_until_resume() -> None:
    gate = asyncio.Event()

    async def train(trial: at.AsyncTrial) -> float:
        await gate.wait()
        return 1.0

    async with at.Search(train, objective=LOSS, executor=at.InlineExecutor(2), max_trials=6, seed=0) as running:
        async for event in running.events():
            if any(isinstance(happening, Started) for happening in event.happened):
                break
        await running.pause()
        gate.set()
        ended = 0
        async for event in running.events():
            ended += sum(isinstance(happening, Finished) for happening in event.happened)
            if ended and not any(trial.state is at.State.RUNNING for trial in running.trials.values()):
                break
        assert ended < 6
        await running.resume()
        result = await running.result()
    assert len(result.trials) == 6


async def test_stop_ends_the_search_with_what_it_has() -> None:
    reported = asyncio.Event()

    async def train(trial: at.AsyncTrial) -> None:
        await trial.report(loss=float(trial.id))
        reported.set()
        while True:
            await trial.report(loss=float(trial.id))

    async with at.Search(train, objective=LOSS, executor=at.InlineExecutor(2), max_trials=6, seed=0) as running:
        await reported.wait()
        await running.stop("seen enough")
        result = await running.result()
    assert result.reason == "seen enough"
    assert result.best_trial is not None
    assert {trial.stop_reason for trial in result.trials.values() if trial.started is not None} == {"seen enough"}


async def test_two_searches_share_one_executor() -> None:
    async with at.InlineExecutor(3) as executor:
        results = await asyncio.gather(*(search(descend, executor=executor, seed=seed) for seed in range(3)))
        assert executor.pool.busy == 0
    assert [len(result.trials) for result in results] == [6, 6, 6]


async def test_a_second_search_gets_its_first_slot_when_as_many_trials_have_ended_as_there_are_slots() -> None:
    go_on, started = asyncio.Semaphore(0), asyncio.Queue[str]()

    def trainable(name: str) -> Any:
        async def train(trial: at.AsyncTrial) -> float:
            started.put_nowait(name)
            await go_on.acquire()
            return 1.0

        return train

    async with at.InlineExecutor(2) as executor, asyncio.TaskGroup() as tasks:
        tasks.create_task(search(trainable("first"), executor=executor, max_trials=8))
        order = [await started.get(), await started.get()]
        tasks.create_task(search(trainable("second"), executor=executor, max_trials=4))
        while len(executor.pool._waiting) < 4:
            await asyncio.sleep(0)
        for _ in range(6):
            go_on.release()
            order.append(await started.get())
        for _ in range(6):
            go_on.release()
    assert order[:4] == ["first"] * 4
    assert order[4:] == ["second", "second", "first", "first"]


async def test_checkpoints_are_restored_in_the_next_attempt(tmp_path: Path) -> None:
    async def train(trial: at.AsyncTrial) -> float:
        at_ = trial.restore()
        start = int((at_ / "step").read_text()) if at_ is not None else 0
        for step in range(start + 1, 5):
            with trial.checkpoint(step) as directory:
                (directory / "step").write_text(str(step))
            await trial.report(step=step, loss=10.0 - step)
            if step == 3 and trial.attempt == 1:
                raise RuntimeError("after step 3")
        return 10.0 - start

    result = await search(train, max_trials=1, storage=tmp_path, failure=at.FailurePolicy(max_retries_per_trial=1))
    trial = result.trials[0]
    assert trial.score == 7.0
    assert [(report.step, report.launch) for report in trial.reports] == [(1, 1), (2, 1), (3, 1), (4, 2)]
    kept = result.checkpoint(trial)
    assert kept is not None
    assert (kept / "step").read_text() == "4"
    assert len(list((tmp_path / "checkpoints" / "0").iterdir())) == 1


async def test_a_launch_that_finds_everything_done_completes_the_trial(tmp_path: Path) -> None:
    async def train(trial: at.AsyncTrial) -> None:
        trial.restore()
        for step in range(trial.step + 1, 4):
            with trial.checkpoint() as directory:
                (directory / "step").write_text(str(step))
            await trial.report(step=step, loss=10.0 - step)
        if trial.attempt == 1:
            raise RuntimeError("after the last step")

    result = await search(train, max_trials=1, storage=tmp_path, failure=at.FailurePolicy(max_retries_per_trial=1))
    trial = result.trials[0]
    assert (trial.state, trial.score, trial.attempt) == (at.State.COMPLETED, 7.0, 2)
    assert [report.step for report in trial.reports] == [1, 2, 3]


SHARE = at.FailurePolicy(max_consecutive_failed_trials=0.2)
BUDGET = at.stoppers.TimeBudget(60)
UNKNOWN = at.FailurePolicy(rules={"FailureKind.TIMD_OUT": "fail"})
GOOD: dict[str, Any] = {"objective": LOSS, "max_trials": 2, "executor": at.InlineExecutor(1)}


@pytest.mark.parametrize(
    ("changed", "error", "says"),
    [
        ({"objective": "f1"}, ConfigurationError, "'f1'"),
        ({"objective": 3}, ConfigurationError, "objective="),
        ({"objective": None}, ConfigurationError, "objective="),
        ({"space": 3}, SpaceError, "space="),
        ({"space": {"x": [1, 2]}}, SpaceError, "Choice"),
        ({"space": {"x": at.Int}}, SpaceError, "x"),
        ({"oracle": at.oracles.RandomSearch}, ConfigurationError, r"RandomSearch\(\.\.\.\)"),
        ({"oracle": "random"}, ConfigurationError, "oracle="),
        ({"scheduler": at.oracles.RandomSearch()}, ConfigurationError, "scheduler="),
        ({"stop": 3}, ConfigurationError, "stop="),
        ({"max_trials": 0}, ConfigurationError, "max_trials="),
        ({"max_trials": 2.5}, ConfigurationError, "max_trials="),
        ({"max_trials": True}, ConfigurationError, "max_trials="),
        ({"max_trials": None}, ConfigurationError, "for ever"),
        ({"failure": 3}, ConfigurationError, "failure= takes FailurePolicy"),
        (
            {"failure": SHARE, "max_trials": None, "stop": BUDGET},
            ConfigurationError,
            "=0.2.* is a share of max_trials, and there",
        ),
        ({"failure": UNKNOWN}, ConfigurationError, "there is no FailureKind.TIMD_OUT; there are FailureKind.RAISED, "),
        ({"limits": {"grace": 1}}, ConfigurationError, "limits= takes Limits"),
        ({"executor": 4}, ConfigurationError, "executor="),
        ({"data": [1]}, ConfigurationError, "data="),
        ({"storage": 3}, ConfigurationError, "storage="),
        ({"storage": __file__}, ConfigurationError, "is a file"),
        ({"storage": "a\0b"}, ConfigurationError, "storage= takes a directory"),
        ({"resume": "yes"}, ConfigurationError, "resume="),
        ({"resume": "must"}, ConfigurationError, "storage="),
        ({"overwrite": "no"}, ConfigurationError, "overwrite="),
        ({"overwrite": True}, ConfigurationError, "overwrite=True needs storage="),
        ({"stop": print}, ConfigurationError, r"functions of \(trial, report\), and <built-in function print> is none"),
        ({"seed": -1}, ConfigurationError, "seed="),
        ({"seed": "x"}, ConfigurationError, "seed="),
        ({"limits": at.Limits(trial_time=3)}, CapabilityError, "LocalExecutor"),
        ({"resources": at.Resources(gpu=1)}, CapabilityError, "GPU"),
    ],
)
async def test_a_wrong_argument_is_refused_before_anything_starts(changed: dict[str, Any], error: type, says: str) -> None:
    before = snapshot()
    with pytest.raises(error, match=says):
        await at.search(descend, **{**GOOD, **changed})
    nothing_left(before)


async def test_a_wrong_name_is_told_what_was_meant() -> None:
    with pytest.raises(TypeError, match=r"search\(\) has no argument 'max_trial': did you mean 'max_trials'"):
        await at.search(descend, objective=LOSS, max_trial=3)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"Search\(\) has no argument 'maxtrials': did you mean 'max_trials'"):
        at.Search(descend, objective=LOSS, maxtrials=3)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"executor=LocalExecutor\(max_workers=4\)"):
        at.Search(descend, objective=LOSS, max_workers=3)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"search\(\) needs objective="):
        await at.search(descend, max_trials=3)
    with pytest.raises(TypeError, match=r"Search\(\) needs objective="):
        at.Search(descend, max_trials=3)  # type: ignore[call-arg]


def no_argument() -> float:
    return 1.0


@pytest.mark.parametrize("trainable", [3, None, [descend], "x", ":x", "__main__:train", no_argument, at.Objective])
async def test_a_trainable_that_is_none_is_refused_when_the_search_is_made(trainable: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"trainable|the main script"):
        at.Search(trainable, **GOOD)


async def test_a_blocking_function_is_refused_by_the_inline_executor() -> None:
    def train(trial: at.Trial) -> float:
        return 1.0

    with pytest.raises(at.errors.TrainableError, match="async"):
        await at.search(train, **GOOD)


async def test_a_directory_that_cannot_be_used_is_named() -> None:
    with pytest.raises(at.errors.StorageError, match="/proc/asynctune"):
        await search(descend, storage="/proc/asynctune")


async def test_it_says_whether_it_is_over() -> None:
    go_on = asyncio.Event()

    async def waits(trial: at.AsyncTrial) -> float:
        await go_on.wait()
        return 1.0

    search = at.Search(waits, objective=LOSS, executor=at.InlineExecutor(2), max_trials=2)
    assert not search.over
    async with search:
        assert not search.over
        waiting = asyncio.create_task(search.result())
        go_on.set()
        await waiting
        assert search.over
    assert search.over


@pytest.mark.parametrize("how", ["left", "failed"])
async def test_it_is_over_however_it_ended(how: str) -> None:
    async def train(trial: at.AsyncTrial) -> float:
        if how == "failed":
            raise at.FatalError("no")
        await asyncio.Event().wait()
        return 1.0

    search = at.Search(train, objective=LOSS, executor=at.InlineExecutor(2), max_trials=2, limits=at.Limits(grace=0.05))
    try:
        async with search:
            if how == "failed":
                await search.result()
            assert not search.over
    except at.FatalError:
        assert how == "failed"
    assert search.over


async def test_one_that_could_not_be_opened_is_over(tmp_path: Path) -> None:
    await search(descend, storage=tmp_path)
    refused = at.Search(descend, objective=LOSS, executor=at.InlineExecutor(2), max_trials=2, storage=tmp_path, resume="never")
    with pytest.raises(ResumeError):
        await refused.__aenter__()
    assert refused.over


@pytest.mark.parametrize("count", ["x", -1, 2.0, True])
async def test_how_many_of_the_best_are_wanted_is_checked(count: Any) -> None:
    result = await search(descend)
    with pytest.raises(ConfigurationError, match=r"best_trials\(count=\.\.\.\) takes an integer of at least 0, or None"):
        result.best_trials(count)
    assert [len(result.best_trials(n)) for n in (0, 2, 99, None)] == [0, 2, 6, 6]


async def test_a_tilde_is_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    await search(descend, storage="~/runs", max_trials=1)
    assert (tmp_path / "runs" / "journal.sqlite").exists()


@pytest.mark.parametrize("kind", [at.InlineExecutor, at.LocalExecutor])
@pytest.mark.parametrize("count", [0, -1, 1.5, True, "4"])
def test_a_number_of_workers_that_cannot_be_names_the_executor(kind: Any, count: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"{kind.__name__}\(max_workers=\.\.\.\) takes an integer of at least 1"):
        kind(count)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: at.LocalExecutor(10**9), r"LocalExecutor\(max_workers=\.\.\.\) takes .* at most 10,000, not 1000000000"),
        (lambda: at.LocalExecutor(preload=None), r"LocalExecutor\(preload=\.\.\.\) takes a list of modules"),  # type: ignore[arg-type]
        (lambda: at.LocalExecutor(preload=7), r"LocalExecutor\(preload=\.\.\.\) takes a list of modules"),  # type: ignore[arg-type]
        (lambda: at.Resources(cpu=1e9), r"Resources\(cpu=\.\.\.\) takes a number above 0 and at most 10,000, not 10+"),
        (lambda: at.Resources(cpu=float("nan")), r"Resources\(cpu=\.\.\.\) takes a number above 0"),
    ],
)
def test_more_than_any_machine_has_is_refused(make: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        make()


@pytest.mark.fault(4)
@pytest.mark.parametrize(
    ("error", "says", "code"),
    [(SystemExit(3), "sys.exit(3)", 3), (SystemExit(), "sys.exit(0)", 0), (KeyboardInterrupt(), "KeyboardInterrupt", 130)],
)
async def test_a_trial_that_exits_is_that_trials_failure(error: BaseException, says: str, code: int) -> None:
    async def train(trial: at.AsyncTrial) -> float:
        await trial.report(loss=1.0)
        if trial.id == 2:
            raise error
        return 1.0

    result = await search(train)
    failure = result.trials[2].failure
    assert failure is not None
    assert (failure.kind, failure.exit_code) == (FailureKind.EXITED, code)
    assert says in failure.message
    assert [trial.state for trial in result.trials.values()].count(at.State.COMPLETED) == 5


class StopsAtOnce(at.schedulers.Scheduler):
    def on_trial_result(self, trial: at.TrialView, report: at.Report) -> at.Stop:
        return at.Stop("enough")


async def test_a_trial_that_is_stopped_in_a_task_group_was_stopped() -> None:
    async def train(trial: at.AsyncTrial) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(trial.report(step=1, loss=1.0))

    result = await search(train, scheduler=StopsAtOnce(), max_trials=2)
    assert [trial.state for trial in result.trials.values()] == [at.State.COMPLETED] * 2
    assert [trial.stop_reason for trial in result.trials.values()] == ["enough"] * 2
