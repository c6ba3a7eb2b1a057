"""Whole simulated searches by schedulers whose trials go on as each other: they end, are resumed anywhere, and improve."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from asynctune.events import Exploited
from asynctune.messages import RunTrial
from asynctune.objective import Objective
from asynctune.oracles import RandomSearch
from asynctune.policies import CheckpointPolicy, FailurePolicy
from asynctune.records import State
from asynctune.schedulers import PB2, PopulationBasedTraining, Scheduler
from asynctune.space import Float, HyperParameters, Int, Space, When
from asynctune.testing import Behaviour, Faults, SimulatedSearch, check_history
from tests.machine.stories import Story, story

FORMS: Sequence[Callable[[], Scheduler]] = (
    lambda: PopulationBasedTraining(perturbation_interval=2),
    lambda: PopulationBasedTraining(perturbation_interval=1, population=4, quantile_fraction=0.5),
    lambda: PopulationBasedTraining(perturbation_interval=2, synchronous=True, population=4, resample_probability=1),
    lambda: PopulationBasedTraining(perturbation_interval=2, synchronous=True, burn_in_period=3),
    lambda: PopulationBasedTraining(perturbation_interval=2, synchronous=True, population=40),
    lambda: PB2(perturbation_interval=2, synchronous=True, population=4, quantile_fraction=0.5),
)
SEEDS = range(30)
PATIENT = FailurePolicy(max_retries_per_trial=2, max_consecutive_failed_trials=None)


def population(seed: int, **changes: Any) -> Story:
    """A search with one of the forms."""
    setup = {"stoppers": (), "saves": seed % 7 > 0, "workers": 1 + seed % 4, "max_trials": 6, "steps": 7, **changes}
    return story(seed, scheduler=FORMS[seed % len(FORMS)], **setup)


def exploits(search: SimulatedSearch) -> list[Exploited]:
    return [event for record in search.records for event in record.happened if isinstance(event, Exploited)]


@pytest.mark.parametrize("seed", SEEDS)
def test_it_ends_and_its_history_holds(seed: int) -> None:
    told = population(seed)
    search = told.search().run()
    assert search.end is not None
    check_history(search.records, scheduler=told.scheduler())


@pytest.mark.parametrize("seed", SEEDS)
def test_cut_off_anywhere_and_with_things_going_wrong_it_ends_and_its_history_holds(seed: int) -> None:
    told, luck = population(seed), random.Random(seed)
    faults = Faults(seed=seed, dies=0.05, lost=0.05, late=0.5, gone=0.1 * (seed % 2))
    kept = told.search(faults=faults, failure=PATIENT).run().records
    for _ in range(2):
        kept = told.search(kept[: luck.randrange(1, len(kept))], faults=faults, failure=PATIENT).run().records
    check_history(kept, scheduler=told.scheduler())


def test_many_exploits_happen_in_every_form() -> None:
    found: Counter[int] = Counter()
    for seed in SEEDS:
        found[seed % len(FORMS)] += len(exploits(population(seed, saves=True, troubled=0.0).search().run()))
    assert len(found) == len(FORMS)
    assert min(found.values()) > 5, found


@pytest.mark.parametrize("form", range(len(FORMS)))
def test_values_that_depend_on_each_other_go_on_as_what_can_be(form: int) -> None:
    space = {"x": Int(1, 4), "n": When("x", [1, 2], Int(1, 9)) | When("x", [3, 4], Int(100, 900))}
    found: set[tuple[bool, bool]] = set()
    for seed in range(form, 60, len(FORMS)):
        told = population(seed, space=space, names=False, oracle=RandomSearch, saves=True, troubled=0.0)
        search = told.search().run()
        assert search.end is not None
        assert search.end.error is None
        check_history(search.records, scheduler=told.scheduler())
        for event in exploits(search):
            assert Space(space).validate(event.values) == event.values
            found.add((int(str(event.values["x"])) > 2, int(str(search.trials[event.source].values["x"])) > 2))
    assert len(found) > 1


class Meetings(PopulationBasedTraining):
    """Writes down who was compared with whom, and after which step."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.met: list[tuple[int, list[int]]] = []

    def _compared(self) -> dict[int, Any]:
        there = [trial for trial, member in self._members.items() if member.waits and not member.ready]
        self.met.append((self._meeting, sorted(there)))
        return super()._compared()


def paced(paces: Sequence[float], steps: int = 8) -> Callable[[RunTrial, HyperParameters], Behaviour]:
    """Trials that take so long for a step: each of its own pace."""

    def script(order: RunTrial, hp: HyperParameters) -> Behaviour:
        pace = paces[order.trial % len(paces)]
        reports = [(pace, {"loss": hp.Float("x", 0, 1) / step}) for step in range(order.step + 1, steps + 1)]
        return Behaviour(reports=reports, checkpoints=True)

    return script


def met(paces: Sequence[float], **settings: Any) -> SimulatedSearch:
    return SimulatedSearch(
        **{
            "script": paced(paces),
            "oracle": RandomSearch(),
            "scheduler": Meetings(perturbation_interval=2, synchronous=True),
            "space": {"x": Float(0, 1)},
            "objective": Objective("loss", "min"),
            "checkpoints": CheckpointPolicy(),
            **settings,
        }
    )


@pytest.mark.parametrize("takes", [(0.0, 0.0), (0.1, 0.0), (3.0, 0.1)])
@pytest.mark.parametrize("paces", [(10, 10, 10, 1), (1, 10, 10, 10), (1, 2, 4, 8), (5, 5, 5, 5)])
@pytest.mark.parametrize("trials", [4, 6])
def test_those_who_have_begun_are_waited_for(paces: Sequence[float], takes: Sequence[float], trials: int) -> None:
    setup = {"workers": 4, "max_trials": trials, "start_takes": takes[0], "ask_takes": takes[1]}
    search = met(paces, **setup).run()
    found: Any = search.scheduler
    assert found.met[:4] == [(step, [0, 1, 2, 3]) for step in (2, 4, 6, 8)]
    assert all(trial.state is State.COMPLETED and trial.step == 8 for trial in search.trials.values())
    # Opened again, it waits for the same ones.
    again = met(paces, records=search.records[: len(search.records) // 6], **setup).run()
    check_history(again.records, scheduler=Meetings(perturbation_interval=2, synchronous=True))
    assert again.scheduler.met[0] == found.met[0]  # type: ignore[attr-defined]
    assert all(trial.state is State.COMPLETED and trial.step == 8 for trial in again.trials.values())


def lives(search: SimulatedSearch) -> dict[int, object]:
    """What became of each trial: its values, and as whom it went on."""
    views = [search.machine.book.view(trial) for trial in search.machine.book.trials.values()]
    return {
        view.id: (dict(view.values), view.step, [(o.source, o.checkpoint.step, dict(o.values)) for o in view.lineage])
        for view in views
    }


@pytest.mark.parametrize("seed", [1, 2, 5, 7, 8, 11, 13])
def test_resumed_at_any_record_it_takes_the_same_decisions(seed: int) -> None:
    # With one worker, and a population that takes turns, nothing depends on what runs when.
    setup = {"workers": 1, "saves": True, "troubled": 0.0, "names": False, "max_trials": 4, "oracle": RandomSearch}
    told = population(seed, checkpoints=CheckpointPolicy(keep=None), **setup)
    whole = told.search().run()
    assert len(exploits(whole)) > 1
    for cut in range(1, len(whole.records), 7):
        resumed = told.search(whole.records[:cut]).run()
        check_history(resumed.records, scheduler=told.scheduler())
        assert lives(resumed) == lives(whole)
