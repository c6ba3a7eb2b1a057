"""Ask and tell: whole searches whose runner is whoever asks."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import pickle
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import asynctune as at
from asynctune.errors import CapabilityError, ConfigurationError, LeaseExpiredError, PluginError, SearchError
from asynctune.events import Reported, Started, TrialAdded
from asynctune.executors.external import Launch
from asynctune.failure import FailureKind
from asynctune.testing import cancel_at_await, check_history, nothing_left, snapshot

LOSS = at.Objective("loss", "min")


def asked(**options: Any) -> at.Search:
    given: dict[str, Any] = {
        "space": {"x": at.Float(0.0, 1.0)},
        "objective": LOSS,
        "executor": at.External(),
        "seed": 0,
        "max_trials": 6,
        "failure": at.FailurePolicy(max_retries_per_trial=1),
        **options,
    }
    return at.Search(**given)


async def worker(search: at.Search) -> None:
    while (launch := await search.ask()) is not None:
        for step in range(launch.step + 1, 4):
            await launch.report(step=step, loss=launch.hp.Float("x", 0.0, 1.0) / step)
        await launch.finish()


async def run(search: at.Search, workers: int = 2, work: Callable[[at.Search], Awaitable[None]] = worker) -> at.Result:
    async with search, asyncio.TaskGroup() as tasks:
        for _ in range(workers):
            tasks.create_task(work(search))  # type: ignore[arg-type]
        return await search.result()


def one(launch: Launch | None) -> Launch:
    assert launch is not None
    return launch


async def test_what_is_asked_for_is_told() -> None:
    before = snapshot()
    with await run(asked()) as result:
        assert [trial.state for trial in result.trials.values()] == [at.State.COMPLETED] * 6
        assert all([report.step for report in trial.reports] == [1, 2, 3] for trial in result.trials.values())
        assert result.best_trial is not None
        assert result.best_trial.score == result.best_trial.values["x"] / 3  # type: ignore[operator]
    nothing_left(before)


async def test_the_values_are_those_of_any_executor() -> None:
    async def train(trial: at.AsyncTrial) -> float:
        return float(trial.values["x"])

    told = await run(asked(), workers=3)
    space = {"x": at.Float(0.0, 1.0)}
    executor = at.InlineExecutor(3)
    inline = await at.search(train, space, objective=LOSS, executor=executor, seed=0, max_trials=6)
    assert [trial.values for trial in told.trials.values()] == [trial.values for trial in inline.trials.values()]


async def test_nothing_is_proposed_before_somebody_asks() -> None:
    async with asked() as search:
        await search.enqueue({"x": 0.5})  # has been through the machine
        assert [trial.launches for trial in search.trials.values()] == [0]
        assert one(await search.ask()).values == {"x": 0.5}
        assert len(search.trials) == 1
        one(await search.ask())
        assert len(search.trials) == 2


@pytest.mark.parametrize("result", [3.0, {"loss": 3.0, "other": 1.0}, [{"loss": 2.0}, {"loss": 4.0}], None])
async def test_a_result_is_what_a_trainable_may_return(result: Any) -> None:
    async with asked(max_trials=1) as search:
        launch = one(await search.ask())
        if result is None:
            assert await launch.report(loss=3.0)
        assert await launch.finish(result)
        assert (await search.result()).trials[0].score == 3.0


async def test_what_is_no_result_is_refused_and_the_launch_goes_on() -> None:
    async with asked(max_trials=1) as search:
        launch = one(await search.ask())
        for wrong in (None, "good", {}, {"loss": "good"}):
            with pytest.raises(ConfigurationError, match="number, a dict of metrics"):
                await launch.finish(wrong)
        with pytest.raises(TypeError, match="at least one metric"):
            await launch.report()
        for tell in (launch.finish({"los": 1.0}), launch.report(los=1.0)):
            with pytest.raises(ConfigurationError, match="gave 'los', and not the objective 'loss': nothing was told"):
                await tell
        with pytest.raises(ConfigurationError, match="as text"):
            await launch.fail(3)  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError, match="reason"):
            await launch.infeasible(3)  # type: ignore[arg-type]
        assert await launch.finish(1.0)


async def test_whoever_finishes_while_it_is_stopped_is_told_that_it_did_not_count() -> None:
    async with asked(max_trials=2) as search:
        launch = one(await search.ask())
        _, counted = await asyncio.gather(search.stop_trial(0), launch.finish(0.25))
        assert search.trials[0].stop_reason == "stopped by the user"
        assert counted is False


async def test_a_failure_is_tried_again_by_whoever_asks_next() -> None:
    failure = at.FailurePolicy(max_retries_per_trial=1, max_consecutive_failed_trials=None)
    async with asked(max_trials=3, failure=failure) as search:
        first = one(await search.ask())
        assert await first.fail(KeyError("lost"))
        again = one(await search.ask())
        assert (again.trial, again.number, again.attempt, again.values) == (0, 2, 2, first.values)
        assert search.launch(0, 2) is again
        assert await again.fail("out of paper")
        assert search.trials[0].state is at.State.FAILED
        failed = search.trials[0].failure
        assert failed is not None
        assert (failed.kind, failed.message) == (FailureKind.RAISED, "out of paper")
        assert await one(await search.ask()).fail("never", retry=False)
        assert await one(await search.ask()).fail(at.FailedTrialError("nor this"))
        assert await search.ask() is None
        assert [trial.attempt for trial in (await search.result()).trials.values()] == [2, 1, 1]


async def test_a_fatal_error_ends_the_search() -> None:
    async with asked() as search:
        assert await one(await search.ask()).fail(at.FatalError("wrong building"))
        assert await search.ask() is None
        with pytest.raises(at.FatalError, match="wrong building"):
            await search.result()


async def test_what_is_infeasible_is_no_failure() -> None:
    async with asked(max_trials=1) as search:
        launch = one(await search.ask())
        assert await launch.infeasible("does not fit")
        assert launch.stop_reason == "infeasible: does not fit"
        trial = (await search.result()).trials[0]
        assert (trial.state, trial.score, trial.stop_reason) == (at.State.COMPLETED, None, "infeasible: does not fit")


async def test_what_is_said_twice_or_too_late_is_dropped() -> None:
    async with asked(max_trials=2) as search:
        launch = one(await search.ask())
        assert await launch.report({"loss": 2.0}, step=1)
        assert await launch.report({"loss": 2.0}, step=1)  # a client that did not hear the answer
        assert await launch.report(loss=2.0, step=1)
        with pytest.raises(ValueError, match="above 1"):
            await launch.report({"loss": 3.0}, step=1)
        assert await launch.finish(1.0)
        assert not await launch.finish(0.0)
        assert not await launch.report(loss=0.0)
        assert not await launch.fail("no")
        assert not await launch.renew()
        assert launch.should_stop
        assert search.launch(0, 1) is None
        with pytest.raises(ConfigurationError, match="keeps no more checkpoints"):
            launch.checkpoint()
        assert search.trials[0].score == 1.0
        assert len(search.trials[0].reports) == 1
        with pytest.raises(ConfigurationError, match="no such trial"):
            search.launch(7, 1)
        with pytest.raises(ConfigurationError, match="1 launches of it"):
            search.launch(0, 2)


async def test_a_verdict_stops_a_launch() -> None:
    async with asked(max_trials=2, stop=lambda trial, report: report.step >= 2) as search:
        launch = one(await search.ask())
        assert await launch.report(loss=2.0)
        assert not await launch.report(loss=1.0)
        assert launch.should_stop
        assert not await launch.finish(0.0)
        assert search.trials[0].state is at.State.COMPLETED
        assert search.trials[0].score == 1.0
        other = one(await search.ask())
        await search.stop_trial(1, "enough")
        assert other.should_stop
        assert other.stop_reason == "enough"
        assert not await other.report(loss=0.0)
        assert await search.ask() is None


async def test_a_scheduler_judges_as_ever() -> None:
    async def reports(search: at.Search) -> None:
        while (launch := await search.ask()) is not None:
            for _ in range(9):
                if not await launch.report(loss=float(launch.trial)):
                    break
            else:
                await launch.finish()

    result = await run(asked(max_trials=12, scheduler=at.schedulers.ASHA(max_steps=9)), workers=1, work=reports)
    steps = [trial.step for trial in result.trials.values()]
    assert steps[0] == 9
    assert min(steps) < 9


async def test_unknown_parameters_are_declared_by_the_launch(tmp_path: Path) -> None:
    async def defines(search: at.Search) -> None:
        while (launch := await search.ask()) is not None:
            lr = launch.hp.Float("lr", 1e-4, 1e-1, sampling="log")
            if launch.hp.Boolean("deep"):
                launch.hp.Int("layers", 2, 5)
            assert launch.config == launch.values
            await launch.finish(lr)

    result = await run(asked(space=None, storage=tmp_path, max_trials=12), work=defines)
    assert {"lr", "deep"} <= set(result.trials[0].values)
    assert any("layers" in trial.values for trial in result.trials.values())
    check_history(tmp_path, oracle=at.oracles.RandomSearch())


async def test_what_was_handed_out_is_on_record(tmp_path: Path) -> None:
    async with asked(space=None, storage=tmp_path, max_trials=3) as search:
        first = one(await search.ask())
        assert await first.finish(first.hp.Float("lr", 0.0, 1.0))
        by_value, by_config = one(await search.ask()), one(await search.ask())
        assert await by_value.finish(by_value.values["lr"])
        assert await by_config.finish(by_config.config["lr"])
        assert [trial.values for trial in search.trials.values()] == [{"lr": trial.score} for trial in search.trials.values()]
    check_history(tmp_path, oracle=at.oracles.RandomSearch())


async def test_whoever_declares_otherwise_than_another_has_not_finished() -> None:
    async with asked(space=None, max_trials=2) as search:
        first, second = one(await search.ask()), one(await search.ask())
        first.hp.Float("lr", 0.0, 1.0)
        second.hp.Float("lr", 0.0, 2.0)
        assert await first.finish(1.0)
        assert not await second.finish(1.0)
        assert second.stop_reason is not None
        assert "was declared again as Float(0.0 to 2.0)" in second.stop_reason
        assert search.trials[1].state is at.State.FAILED


async def test_a_checkpoint_is_gone_on_from(tmp_path: Path) -> None:
    async with asked(max_trials=1, storage=tmp_path) as search:
        launch = one(await search.ask())
        assert launch.restore() is None
        with launch.checkpoint() as directory:
            (directory / "state").write_text("half")
        assert await launch.report(loss=1.0)
        (launch.directory / "notes").write_text("mine")
        assert await launch.fail("fell over")
        again = one(await search.ask())
        restored = again.restore()
        assert restored is not None
        assert (restored / "state").read_text() == "half"
        assert again.step == 1
        assert (again.directory / "notes").read_text() == "mine"
        assert await again.finish()


async def test_closing_sets_open_launches_aside_and_tells_their_holders(tmp_path: Path) -> None:
    async with asked(storage=tmp_path) as search:
        launch = one(await search.ask())
        assert await launch.report(loss=2.0)
        asking = asyncio.create_task(search.ask())
        one(await asking)
        waiting = asyncio.create_task(search.ask())
        await search.pause()  # it waits now
    assert await waiting is None
    assert await search.ask() is None
    assert not await launch.report(loss=1.0)
    assert not await launch.finish(1.0)
    assert launch.stop_reason is not None
    assert "left" in launch.stop_reason
    with pytest.raises(SearchError, match="resumed"):
        await search.result()
    async with asked(storage=tmp_path) as search:
        with pytest.raises(LeaseExpiredError, match="launch 1 of trial 0"):
            search.launch(0, 1)
        again = one(await search.ask())
        assert (again.trial, again.number, again.attempt) == (0, 2, 1)
        assert await again.finish(1.0)
        await worker(search)
        assert [trial.attempt for trial in (await search.result()).trials.values()] == [1] * 6
    check_history(tmp_path)


async def test_a_cancelled_ask_leaves_what_was_proposed_to_the_next() -> None:
    async with asked(max_trials=2) as search:
        ask = asyncio.create_task(search.ask())
        async for event in search.events():
            if any(isinstance(happening, TrialAdded) for happening in event.happened):
                break
        given = not ask.cancel()  # at this moment it was given one, or it was not
        if given:
            one(ask.result())
        else:
            with pytest.raises(asyncio.CancelledError):
                await ask
            assert one(await search.ask()).trial == 0
        assert one(await search.ask()).trial == 1


async def test_more_ask_than_there_may_be_launches() -> None:
    async with asked(executor=at.External(max_workers=2), max_trials=9) as search:
        first, second = one(await search.ask()), one(await search.ask())
        third = asyncio.create_task(search.ask())
        await first.finish(1.0)
        assert one(await third).trial == 2
        await search.set_max_workers(3)
        assert one(await search.ask()).trial == 3
        await second.finish(1.0)


async def test_many_ask_at_once(tmp_path: Path) -> None:
    result = await run(asked(max_trials=150, storage=tmp_path, oracle=at.oracles.RandomSearch()), workers=60)
    assert sorted(result.trials) == list(range(150))
    assert all(trial.launches == 1 for trial in result.trials.values())
    check_history(tmp_path, oracle=at.oracles.RandomSearch())


async def test_a_search_that_is_over_has_nothing_to_give(tmp_path: Path) -> None:
    await run(asked(storage=tmp_path, max_trials=2))
    async with asked(storage=tmp_path, max_trials=2) as search:
        assert await search.ask() is None
        assert len((await search.result()).trials) == 2


async def test_an_oracle_that_raises_ends_asking() -> None:
    class Raises(at.Oracle):
        def populate_space(self, trial_id: int, space: at.Space) -> at.Suggestion:
            raise RuntimeError("no idea")

    async with asked(oracle=Raises()) as search:
        assert await search.ask() is None
        with pytest.raises(PluginError, match="no idea"):
            await search.result()


async def test_a_score_that_is_no_number_fails_the_attempt() -> None:
    async with asked(max_trials=1) as search:
        launch = one(await search.ask())
        assert not await launch.finish(math.nan)
        assert launch.stop_reason is not None
        assert launch.stop_reason.startswith("what it said is no result: ")
        assert one(await search.ask()).attempt == 2


# --------------------------------------------------------------------------------------------------- what is refused


async def nothing(trial: at.AsyncTrial) -> float:
    return 1.0


async def test_what_cannot_work_is_said_before_anything_starts() -> None:
    for wrong in (0, -1.0, math.nan, math.inf, True, "long"):
        with pytest.raises(ConfigurationError, match=r"External\(lease="):
            at.External(lease=wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"External\(max_workers="):
        at.External(max_workers=0)
    with pytest.raises(ConfigurationError, match="takes no trainable"):
        at.Search(nothing, objective=LOSS, executor=at.External(), max_trials=1)
    with pytest.raises(ConfigurationError, match="function of one argument"):
        at.Search(objective=LOSS, max_trials=1)
    with pytest.raises(ConfigurationError, match="nobody who could ask"):
        await at.search(None, objective=LOSS, executor=at.External(), max_trials=1)
    with pytest.raises(CapabilityError, match="memory"):
        asked(limits=at.Limits(memory="1 GiB"))
    asked(limits=at.Limits(trial_time=10.0, silence=5.0))


async def test_only_external_is_asked() -> None:
    async with at.Search(nothing, objective=LOSS, executor=at.InlineExecutor(1), max_trials=1) as search:
        with pytest.raises(ConfigurationError, match=r"ask\(\) needs executor=External\(\): InlineExecutor"):
            await search.ask()
        with pytest.raises(ConfigurationError, match=r"launch\(\) needs"):
            search.launch(0, 1)
        await search.result()


async def test_it_serves_one_search_at_a_time() -> None:
    async with at.External() as executor:
        async with asked(executor=executor, max_trials=1):
            with pytest.raises(ConfigurationError, match="one search at a time"):
                async with asked(executor=executor):
                    pass
        await run(asked(executor=executor, max_trials=1))
        with pytest.raises(at.errors.ExecutorError, match="open already"):
            await executor.open()


async def test_an_executor_that_is_closed_ends_its_search() -> None:
    async with at.External() as executor:
        search = asked(executor=executor)
        async with search:
            launch = one(await search.ask())
            executor.close()
            assert not await launch.finish(1.0)
            assert await search.ask() is None
            with pytest.raises(at.errors.ExecutorError, match="closed"):
                await search.result()


def test_a_lease_error_travels() -> None:
    error = pickle.loads(pickle.dumps(LeaseExpiredError("launch 1 of trial 0")))
    assert str(error) == "launch 1 of trial 0"


# ------------------------------------------------------------------------------------------------- cancelled and killed


def forgotten(work: Callable[[Launch], Awaitable[object]]) -> Callable[[at.Search], Awaitable[None]]:
    """One that is cancelled forgets what it holds; then the lease runs out, and the other one gets it."""

    async def working(search: at.Search) -> None:
        while (launch := await search.ask()) is not None:
            with contextlib.suppress(LeaseExpiredError):
                await work(launch)

    return working


async def reports_and_finishes(launch: Launch) -> None:
    await launch.report(loss=float(launch.values["x"] or 0))
    await launch.finish()


async def fails_first(launch: Launch) -> None:
    await (launch.fail("once") if launch.attempt == 1 else launch.finish(1.0))


async def whole(storage: Path) -> None:
    search = asked(storage=storage, max_trials=3, executor=at.External(lease=0.3))
    with await run(search, work=forgotten(reports_and_finishes)):
        pass


async def fails_and_retries(storage: Path) -> None:
    search = asked(storage=storage, max_trials=2, executor=at.External(lease=0.3))
    with await run(search, work=forgotten(fails_first)):
        pass


@pytest.mark.fault(11)
@pytest.mark.parametrize("part", range(2))
@pytest.mark.parametrize("main", [whole, fails_and_retries])
def test_cancelled_at_every_await(main: Callable[[Path], Any], part: int, tmp_path: Path) -> None:
    for number in itertools.count(1 + part, 2):
        storage = tmp_path / str(number)
        before = snapshot()
        try:
            reached = cancel_at_await(number, lambda: main(storage))  # noqa: B023 -- it is called at once
        except* (SearchError, asyncio.CancelledError):
            reached = True
        nothing_left(before)
        if (storage / "journal.sqlite").exists():
            check_history(storage)
        asyncio.run(main(storage))
        check_history(storage)
        shutil.rmtree(storage)
        if not reached:
            assert number > 10
            return


@pytest.mark.parametrize("until", [1, 3, 5])
async def test_one_that_is_left_goes_on_where_it_stood(until: int, tmp_path: Path) -> None:
    async with asked(storage=tmp_path) as search:
        tasks = [asyncio.create_task(worker(search)) for _ in range(2)]
        reports = 0
        async for event in search.events():
            reports += sum(isinstance(happening, Reported) for happening in event.happened)
            if reports >= until:
                break
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    again = await run(asked(storage=tmp_path))
    fresh = await run(asked())
    assert [trial.values for trial in again.trials.values()] == [trial.values for trial in fresh.trials.values()]
    check_history(tmp_path, oracle=at.oracles.RandomSearch())


async def test_what_was_said_is_on_record(tmp_path: Path) -> None:
    async with asked(storage=tmp_path) as search:
        launch = one(await search.ask())
        await launch.finish(2.0)
        copy = tmp_path.parent / "copy"
        shutil.copytree(tmp_path, copy)  # as a crash would leave it
    found: list[Any] = []
    async with asked(storage=copy) as search:
        found += [happening async for event in _until_started(search) for happening in event.happened]
        assert search.trials[0].score == 2.0
    assert sum(isinstance(happening, Started) for happening in found) == 1


async def _until_started(search: at.Search) -> Any:
    async for event in search.events():
        yield event
        if any(isinstance(happening, Started) for happening in event.happened):
            return
