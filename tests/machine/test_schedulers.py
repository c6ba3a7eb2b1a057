"""Every scheduler in whole searches, on the real machine: trials report, fail, end, are stopped and lost in any order, the user
interferes, the search is killed and opened again. Whatever happens, there is progress.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import pytest

from asynctune._engine.record import pack
from asynctune._machine.stimuli import Enqueued, PauseAsked, ResumeAsked, StopTrialAsked, WorkersSet
from asynctune.messages import RunTrial
from asynctune.objective import Objective
from asynctune.oracles import RandomSearch
from asynctune.policies import FailurePolicy
from asynctune.records import State, TrialView
from asynctune.schedulers import (
    ASHA,
    BOHB,
    FIFO,
    HyperBand,
    MedianStopping,
    Patience,
    Percentile,
    Scheduler,
    Threshold,
    Wilcoxon,
)
from asynctune.space import Float, HyperParameters
from asynctune.testing import Behaviour, Faults, SimulatedSearch, check_history
from tests.machine.stories import Story, story
from tests.machine.test_faulted import LIMITS, faults_of, holds, of_seed
from tests.machine.test_simulated import tell_the_rest
from tests.many import few

SCHEDULERS: Mapping[str, Callable[[], Scheduler]] = {
    "FIFO": FIFO,
    "ASHA": lambda: ASHA(max_steps=9),
    "ASHA in brackets": lambda: ASHA(max_steps=9, factor=2, brackets=3, stop_last=False),
    "ASHA promoting": lambda: ASHA(max_steps=9, form="promotion"),
    "ASHA promoting in brackets": lambda: ASHA(max_steps=8, factor=2, form="promotion", brackets=2, stop_last=False),
    "HyperBand": lambda: HyperBand(max_steps=9),
    "HyperBand by halves": lambda: HyperBand(max_steps=8, factor=2, grace=2),
    "BOHB": lambda: BOHB(max_steps=4, factor=2),
    "MedianStopping": lambda: MedianStopping(min_samples=1),
    "MedianStopping softly": lambda: MedianStopping(min_samples=1, hard_stop=False),
    "Percentile": lambda: Percentile(percentile=50, startup_trials=1),
    "Threshold": lambda: Threshold(upper=3.0, interval=2),
    "Patience": lambda: Patience(patience=1),
    "Patience with ASHA": lambda: Patience(patience=1, inside=ASHA(max_steps=9)),
    "Wilcoxon": Wilcoxon,
}
# At what step a trial that has diverged must not be found any more.
RUNGED = {"ASHA", "ASHA promoting", "HyperBand", "HyperBand by halves", "BOHB", "ASHA promoting in brackets"}
EACH = pytest.mark.parametrize("name", SCHEDULERS)
SEEDS = [range(8), *(range(start, start + 25) for start in range(100, 300, 25))]


def commands_of(luck: random.Random) -> Sequence[Any]:
    """What the user does: pauses the search, and lets it go on; stops trials, and adds some; wants more workers, or fewer."""
    found: list[Any] = []
    if luck.random() < 0.4:
        at = luck.uniform(0, 20)
        found += [(at, lambda now: PauseAsked(at=now)), (at + luck.uniform(0, 9), lambda now: ResumeAsked(at=now))]
    for _ in range(luck.choice([0, 0, 1, 4])):
        stop = partial(StopTrialAsked, trial=luck.randint(0, 15), reason="stopped by the user")
        found.append((luck.uniform(0, 40), lambda now, stop=stop: stop(at=now)))
    for _ in range(luck.choice([0, 0, 2])):
        found.append((luck.uniform(0, 40), lambda now: Enqueued(at=now, values={})))
    for _ in range(luck.choice([0, 0, 3])):
        slots = luck.randint(1, 6)
        found.append((luck.uniform(0, 40), lambda now, slots=slots: WorkersSet(at=now, slots=slots)))
    return found


def told_of(name: str, seed: int) -> Story:
    luck = random.Random(f"{name} {seed}")
    changes: dict[str, Any] = {
        "steps": luck.choice([3, 9, 12]),
        "max_trials": luck.choice([1, 4, 12, 25]),
        "workers": luck.choice([1, 2, 5]),
    }
    changes["strides"] = luck.choice([(1,), (1,), (1, 2, 5), (3,)])
    return story(seed, scheduler=SCHEDULERS[name], **changes)


def endure(name: str, seed: int) -> None:
    """The search of this seed: killed a few times on its way, and in the end let run."""
    told, luck = told_of(name, seed), random.Random(f"way {name} {seed}")
    faults = faults_of(seed) if luck.random() < 0.7 else Faults(seed=seed)
    common: dict[str, Any] = {"limits": LIMITS, "faults": faults, "commands": commands_of(luck)}
    search = told.search(**common)
    for _ in range(luck.choice([0, 1, 3])):
        search.run(until=len(search.records) + luck.randint(1, 60))
        if search.end is not None:
            break
        search = told.search(search.records, **common)
    if search.end is None:
        search.run()
    holds(search, told)
    assert search.end is not None
    if search.end.error is None:
        # Whoever lives is given up; and nobody lives on.
        assert all(view.state.ended for view in search.trials.values())


@EACH
@pytest.mark.parametrize("seeds", few(1, SEEDS), ids=lambda seeds: f"{seeds.start}-{seeds.stop - 1}")
def test_whatever_happens_there_is_progress(name: str, seeds: range) -> None:
    for seed in seeds:
        with of_seed(seed):
            endure(name, seed)


@EACH
@pytest.mark.parametrize("seeds", few(1, [range(2), range(2, 12)]), ids=lambda seeds: f"{seeds.start}-{seeds.stop - 1}")
def test_opened_again_at_any_record_it_decides_the_same(name: str, seeds: range) -> None:
    for seed in seeds:
        with of_seed(seed):
            told = told_of(name, seed)
            whole = told.search(commands=commands_of(random.Random(f"commands {seed}"))).run()
            records = whole.records
            # At any: at six of them, and in `nox -s many` at more.
            for cut in range(1, len(records), max(1, len(records) // (6 if seeds.start == 0 else 60))):
                assert tell_the_rest(told, records, cut) == [pack(record) for record in records[cut:]], f"cut at {cut}"


@EACH
def test_opened_again_at_any_record_it_comes_to_an_end(name: str) -> None:
    told = told_of(name, 3)
    whole = told.search().run()
    for until in range(1, len(whole.records), max(1, len(whole.records) // 5)):
        first = told.search().run(until=until)
        search = told.search(first.records)
        if first.end is None:
            search.run()
            holds(search, told)


# ------------------------------------------------------------------------------------------------- those who diverge


def diverging(kind: float, pace: float) -> Any:
    """Every third trial's loss is sound at first, and then NaN, infinite, or beyond all measure. It takes `pace` times as long
    for a step as others do."""

    def script(order: RunTrial, hp: HyperParameters) -> Behaviour:
        level, reports = hp.Float("x", 0, 1), []
        for step in range(order.step + 1, 13):
            bad = order.trial % 3 == 1
            value = kind * step if bad and step > 1 else level + 1 / step
            reports.append(((1.0 + level) * (pace if bad else 1.0), {"loss": value}))
        return Behaviour(reports=reports, checkpoints=order.trial % 2 == 0)

    return script


@pytest.mark.parametrize("name", sorted(RUNGED))
@pytest.mark.parametrize("kind", [math.nan, math.inf, 1e18])
@pytest.mark.parametrize("workers", [1, 7])
@pytest.mark.parametrize("pace", [0.5, 1.0, 3.0])
@pytest.mark.fault(17)
def test_those_who_diverge_never_survive_a_rung(name: str, kind: float, workers: int, pace: float) -> None:
    if name.endswith("in brackets") and math.isfinite(kind):
        pace = max(pace, 1.0)  # one of them begins where they have diverged: the first few there are compared with nobody
    search = SimulatedSearch(
        script=diverging(kind, pace),
        oracle=RandomSearch(),
        scheduler=SCHEDULERS[name](),
        space={"x": Float(0, 1)},
        objective=Objective("loss", "min"),
        workers=workers,
        max_trials=40,
        failure=FailurePolicy(max_consecutive_failed_trials=None, non_finite="worst"),
    ).run()
    rungs = _rungs(search.scheduler)
    for view in search.trials.values():
        if view.id % 3 == 1:
            # The first rung beyond step 1 ends it: it comes there, and not a step further.
            first = min(rung for rung in rungs(view) if rung > 1)
            assert view.step <= first
    assert any(view.step >= rungs(view)[-1] for view in search.trials.values())


def _rungs(scheduler: Scheduler) -> Callable[[TrialView], Sequence[int]]:
    if isinstance(scheduler, ASHA):
        return lambda view: (*scheduler.rungs[scheduler.bracket(view.id) :], scheduler.max_steps)
    assert isinstance(scheduler, HyperBand)
    ends: list[int] = []
    sizes = [shape.sizes[0] for shape in scheduler.shapes]
    while sum(ends) < 40:
        ends.append(sizes[len(ends) % len(sizes)])

    def of(view: TrialView) -> Sequence[int]:
        place = next(index for index in range(len(ends)) if view.id < sum(ends[: index + 1]))
        return scheduler.shapes[place % len(sizes)].steps

    return of


# ------------------------------------------------------------------------------------------------------ what it comes to


def sound(order: RunTrial, hp: HyperParameters) -> Behaviour:
    level = hp.Float("x", 0, 1)
    return Behaviour(reports=[(1.0, {"loss": level + 1 / step}) for step in range(order.step + 1, 28)], checkpoints=True)


@pytest.mark.parametrize("workers", [1, 4, 64])
def test_hyperband_runs_what_it_plans(workers: int) -> None:
    scheduler = HyperBand(max_steps=27)
    search = SimulatedSearch(
        script=sound, oracle=RandomSearch(), scheduler=scheduler, space={"x": Float(0, 1)}, workers=workers, max_trials=49
    ).run()
    views = list(search.trials.values())
    assert sum(view.step for view in views) == sum(shape.cost for shape in scheduler.shapes)
    for shape, start in zip(scheduler.shapes, (0, 27, 39, 45), strict=True):
        bracket = views[start : start + shape.sizes[0]]
        assert [sum(view.step >= step for view in bracket) for step in shape.steps] == list(shape.sizes)
        best = min(bracket, key=lambda view: view.values["x"])  # type: ignore[arg-type, return-value]
        assert best.step == 27
    check_history(search.records, scheduler=HyperBand(max_steps=27), oracle=RandomSearch())


@pytest.mark.parametrize("form", ["promotion", "stopping"])
@pytest.mark.parametrize("workers", [1, 4])
def test_asha_trains_about_a_third_on_at_each_rung(form: Any, workers: int) -> None:
    scheduler = ASHA(max_steps=27, form=form)
    search = SimulatedSearch(
        script=sound, oracle=RandomSearch(), scheduler=scheduler, space={"x": Float(0, 1)}, workers=workers, max_trials=200
    ).run()
    views = list(search.trials.values())
    counts = [sum(view.step >= step for view in views) for step in (1, 3, 9, 27)]
    assert counts[0] == 200
    assert 60 <= counts[1] <= 90
    assert 15 <= counts[2] <= 35
    assert 5 <= counts[3] <= 25
    assert min(views, key=lambda view: view.values["x"]).step == 27  # type: ignore[arg-type, return-value]
    assert all(view.state is State.COMPLETED for view in views)


def test_one_trial_alone_is_trained_to_the_end() -> None:
    for name in ("HyperBand", "ASHA promoting", "BOHB"):
        search = SimulatedSearch(
            script=sound, oracle=RandomSearch(), scheduler=SCHEDULERS[name](), space={"x": Float(0, 1)}, max_trials=1
        ).run()
        assert str(search.trials[0].stop_reason).endswith("reached")
