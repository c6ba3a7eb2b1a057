"""Every public name, used as its documentation says. Checked by mypy, never run; tests/house sees that no name is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import assert_type

import asynctune as at
from asynctune.failure import FailureKind
from asynctune.records import Verdict


def train(trial: at.Trial) -> Mapping[str, float]:
    lr = trial.hp.Float("lr", 1e-4, 1e-1, sampling="log")
    units = trial.hp.Int("units", 32, 512, step=32)
    start: Path | None = trial.restore()
    for step in range(1, 4):
        with trial.checkpoint(step=step) as directory:
            (directory / "state").write_text(f"{start} {units}")
        trial.report({"loss": lr}, step=step)
        if trial.should_stop:
            break
    trial.report(loss=lr)
    if lr < 0:
        raise at.FailedTrialError("negative")
    if lr > 1:
        trial.infeasible("too fast")
    if units < 0:
        raise at.FatalError("wrong space")
    return {"loss": lr * len(trial.values) * trial.seed}


async def train_inline(trial: at.AsyncTrial) -> float:
    assert_type(trial.budget, int | None)
    assert_type(trial.parent, int | None)
    await trial.report(step=1, loss=1.0)
    if trial.attempt > 3:
        trial.infeasible("never mind")
    return 1.0


class Oracle(at.Oracle):
    def populate_space(self, trial_id: int, space: at.Space) -> at.Suggestion:
        return at.Suggestion.run(space.complete({}, lambda _, domain: domain.default))


class Counting(at.Observer):
    interval = 1.0
    count = 0

    def on_start(self, search: at.observers.Watched) -> int | None:
        return 1 if search.resumed else None

    def on_events(self, events: Sequence[at.Event], search: at.observers.Watched) -> None:
        self.count += len(events)
        assert_type(search.trials[0], at.TrialView)


class Scheduler(at.Scheduler):
    def on_trial_result(
        self, trial: at.TrialView, report: at.Report
    ) -> at.Stop | at.Pause | at.Exploit | at.Reallocate | Mapping[int, Verdict] | None:
        if report.step > 10:
            return at.Stop("enough")
        if report.step > 8:
            return {trial.id: at.CONTINUE, 0: at.PAUSE, 1: at.STOP}
        return at.Reallocate(at.Resources(cpu=2)) if report.step > 5 else at.Exploit(source=3)


def widest(shares: at.schedulers.Shares) -> at.Resources | None:
    return shares.total if shares.left == 1 and shares.place == 0 and shares.each.cpu > 1 else None


def schedulers() -> list[at.Scheduler]:
    bohb = at.schedulers.BOHB(max_steps=27, grace=1, factor=3)
    assert_type(bohb.oracle(random_fraction=0.5), at.oracles.BOHB)
    return [
        *(bohb, at.schedulers.HyperBand(max_steps=81), at.schedulers.FIFO()),
        at.schedulers.ASHA(max_steps=27, form="promotion", brackets=2),
        at.schedulers.PopulationBasedTraining(
            perturbation_interval=5,
            hyperparam_mutations={"rate": at.Float(0.1, 1), "units": (16, 64), "kind": ["a", "b"], "rest": None},
            burn_in_period=10,
            quantile_fraction=0.2,
            resample_probability=0.5,
            perturbation_factors=[0.5, 2.0],
            synchronous=True,
            population=8,
        ),
        at.schedulers.PopulationBasedTrainingReplay(policy=at.Result.read("runs/population"), trial=3),
        at.schedulers.ResourceChanging(
            total=at.Resources(cpu=8),
            trials=4,
            each=at.Resources(cpu=1),
            allocation=lambda trial, report, shares: widest(shares) or at.schedulers.evenly(trial, report, shares),
            inside=at.schedulers.ASHA(max_steps=27),
        ),
        *(at.schedulers.PB2(perturbation_interval=5, population=4), at.schedulers.MOASHA(max_steps=27, grace=1, factor=3)),
        at.schedulers.MedianStopping(grace=2, min_samples=3, hard_stop=False),
        at.schedulers.Percentile(percentile=25, startup_trials=5, grace=1, interval=1, min_samples=1),
        at.schedulers.Patience(patience=3, min_delta=0.1, inside=at.schedulers.ASHA(max_steps=27)),
        *(at.schedulers.Threshold(lower=0.1, upper=9), at.schedulers.Wilcoxon(p_threshold=0.1, startup_steps=2)),
    ]


async def main() -> None:
    space = {
        "units": at.Int(32, 512, step=32),
        "nested": {"lr": at.Float(1e-4, 1e-1, sampling="log"), "bias": at.Boolean()},
        "activation": at.Choice(["relu", "tanh"]),
        "function": at.Choice({"max": max, "min": min}),
        "noise": at.Normal(0, 1),
        "batch": at.tune.qlograndint(16, 256, 16),
        "slope": at.When("activation", "relu", at.Float(0, 1)) | at.When("activation", ["tanh"], {"gain": 1.0}),
        "seed": at.Fixed(3),
    }
    result = await at.search(
        train,
        space=space,
        objective=at.Objective("loss", "min", over="best"),
        oracle=at.oracles.RandomSearch(),
        scheduler=at.schedulers.ASHA(max_steps=27),
        stop=[
            at.stoppers.TimeBudget(3600),
            at.stoppers.all_of(at.stoppers.MaxSteps(9), at.stoppers.TrialPlateau(std=0.1, metric="f1", direction="max")),
            at.stoppers.any_of(at.stoppers.SearchTarget(0.1), at.stoppers.SearchPlateau(top=5)),
            at.stoppers.NoImprovement(trials=9),
            at.stoppers.MaxReports(99),
            at.stoppers.TrialTarget(0.9, metric="f1", direction="max"),
            {"step": 9, "f1": ("max", 0.9)},
            lambda trial, report: report.step > trial.id,
        ],
        max_trials=100,
        failure=at.FailurePolicy(
            max_retries_per_trial=1,
            max_consecutive_failed_trials=0.2,
            delay=10,
            retry_from="start",
            rules={OSError: "retry", "torch.OutOfMemoryError": "fail", FailureKind.TIMED_OUT: "end"},
            non_finite="worst",
        ),
        limits=at.Limits(trial_time=600, silence=60.5, memory="4 GiB", log=2**20, processes=8, grace=5),
        checkpoints=at.CheckpointPolicy(keep=3, score="eval/f1", direction="max", every=2, at_end=True, max_size="10 GiB"),
        parking=at.Parking(max_trials=16, max_memory="4 GiB"),
        resources=at.Resources(cpu=1),
        executor=at.LocalExecutor(max_workers=4, isolation="trial", preload=["keras"]),
        data={"x": [1, 2, 3], "api_key": at.Secret("from your vault")},
        storage="runs/typed",
        resume="auto",
        seed=0,
        observers=[
            *(Counting(), at.observers.CSV("trials.csv"), at.observers.JSONLines("events.jsonl"), at.observers.Logging("mine")),
            *(at.observers.Display(verbose=3, style="keras"), at.observers.TensorBoard("board")),
        ],
        display=False,
    )
    assert_type(result, at.Result)
    assert_type(result.trials[3], at.TrialView)
    assert_type(result.trials[3].state, at.State)
    assert_type(result.trials[3].failure, at.Failure | None)
    assert_type(result.trials[3].checkpoint, at.CheckpointKey | None)

    executor: at.Executor = at.InlineExecutor(max_workers=8)
    async with (
        executor,
        at.Search(train_inline, objective=at.Objective("loss", "min"), executor=executor, oracle=Oracle()) as search,
    ):
        async for event in search.events(from_seq=0):
            assert_type(event, at.Event)
            assert_type(event.seq, int)
            assert_type(at.Event.from_dict(event.to_dict()), at.Event)
        assert_type(search.over, bool)
        await search.stop_trial(7)
        await search.pause()
        await search.set_max_workers(2)
        await search.enqueue({"layer": {"units": 64}})
        assert_type(await search.result(), at.Result)
        goal = at.Objectives(["loss", at.Objective("size", "min")], constraints=[at.Constraint("latency", most=3)])
        several = await at.search(train_inline, objective=goal)
        assert_type(several.pareto_front(), list[at.TrialView])
        assert_type(several.hypervolume({"loss": 1, "size": 2}), float)


async def ask_and_tell() -> None:
    space = {"x": at.Float(0.0, 1.0)}
    async with at.Search(space=space, objective="val_loss", executor=at.External(lease=60.0, max_workers=10)) as search:
        while (launch := await search.ask()) is not None:
            assert_type(launch, at.Launch)
            assert_type(await launch.report({"val_loss": 1.0}, step=3), bool)
            assert_type(await launch.renew(), bool)
            assert_type(search.launch(launch.trial, launch.number), at.Launch | None)
            if launch.should_stop or launch.restore() is not None:
                await launch.fail("no", retry=False)
            await launch.finish(0.5)
    oracle = at.keras.RandomSearchOracle("val_loss", 10, hyperparameters=space)
    assert_type(oracle.create_trial("me").score, float | None)
    await at.search(train_inline, objective="val_loss", oracle=at.keras.KerasOracle(oracle))


def script() -> None:
    try:
        assert_type(at.run(train, objective="val_loss", scheduler=Scheduler(), display=False), at.Result)
    except at.errors.TooManyFailuresError as error:
        assert_type(error.failures, Mapping[str, int])
    except at.errors.SearchError as error:
        failed: at.AsynctuneError = error
        raise failed from None
    except (at.FatalValueError, at.FatalTypeError, at.FatalRuntimeError):
        raise


class Stepped(at.Trainable):
    def setup(self, config: dict[str, object]) -> None:
        self.config, self.weight = config, 0.0

    def step(self) -> Mapping[str, object]:
        self.weight += 1
        return {"loss": self.weight, "done": self.weight > self.trial.seed}

    def save_checkpoint(self, directory: Path) -> None:
        (directory / "weight").write_text(str(self.weight))

    def load_checkpoint(self, directory: Path) -> None:
        self.weight = float((directory / "weight").read_text())

    def reset_config(self, config: dict[str, object]) -> bool:
        self.config = config
        return True

    def cleanup(self) -> None:
        self.config = {}


class SteppedAsync(at.Trainable):
    async def step(self) -> Mapping[str, object]:
        return {"loss": 1.0, "done": True}


async def stepped() -> None:
    await at.search(Stepped, objective="loss", max_trials=1)
    await at.search(SteppedAsync, objective="loss", max_trials=1, executor=at.InlineExecutor(1))


def secret(trial: at.Trial) -> None:
    key: at.Secret = trial.data["api_key"]
    assert_type(key.reveal(), str)


def named() -> None:
    at.run(train, objective="val_loss", oracle="grid_search", scheduler="median_stopping", display=False)
    try:
        at.testing.fuzz_scheduler(Scheduler, seeds=10)
    except at.testing.FuzzError as error:
        assert_type((error.reason, error.seed, error.moves), tuple[str, int | None, str])


def misspelled() -> None:
    at.Serch  # type: ignore[attr-defined]
    at.executors.LocalExectuor  # type: ignore[attr-defined]
    at.observers.Csv  # type: ignore[attr-defined]
    at.testing.OracleContracts  # type: ignore[attr-defined]


def modules(hp: at.HyperParameters, trial: at.Trial) -> tuple[str, object]:
    callback = at.keras.ReportCallback(trial, checkpoint=True)
    return at.__version__, (at.executors.Capabilities, at.testing, callback, hp.Boolean("bias"))
