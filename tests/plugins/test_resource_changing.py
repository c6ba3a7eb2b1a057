"""ResourceChanging: who gets what is free, and when."""

from __future__ import annotations

from typing import Any

import pytest

from asynctune.errors import ConfigurationError
from asynctune.events import Reallocated
from asynctune.objective import Objective
from asynctune.policies import Resources
from asynctune.records import PAUSE, CheckpointKey, Reallocate, Report, State, TrialView
from asynctune.schedulers import ASHA, HyperBand, PopulationBasedTraining, ResourceChanging
from asynctune.schedulers.resource_changing import Shares, evenly
from asynctune.testing import check_history
from asynctune.views import SearchView
from tests.machine.stories import story


def changing(**settings: Any) -> ResourceChanging:
    scheduler = ResourceChanging(**{"total": Resources(cpu=8), "trials": 4, **settings})
    scheduler.set_search(objective=Objective("loss", "min"))
    return scheduler


def view(trial: int, **more: Any) -> TrialView:
    return TrialView(id=trial, state=State.RUNNING, values={}, **more)


def four(**settings: Any) -> ResourceChanging:
    """With four trials."""
    scheduler = changing(**settings)
    for trial in range(4):
        scheduler.on_trial_add(view(trial))
    return scheduler


def cores(scheduler: ResourceChanging, trial: int, has: float = 1, step: int = 1, *, saved: bool = True) -> float | None:
    """How many cores the trial gets at a report; None for no change."""
    key = CheckpointKey(trial, step, 1) if saved else None
    report = Report(step, {"loss": 1.0}, 0.0, 1, key)
    told: Any = scheduler.on_trial_result(view(trial, resources=Resources(cpu=has), step=step), report)
    verdict = None if told is None else told[trial]
    return verdict.resources.cpu if isinstance(verdict, Reallocate) else None


def test_what_is_free_is_shared_evenly() -> None:
    # Ray Tune's published case: 8 cores, 4 trials; as they end, 2, 3, 4 and 8 for those that are left.
    scheduler = four()
    assert [cores(scheduler, trial) for trial in range(4)] == [2] * 4
    assert [cores(scheduler, trial, 2) for trial in range(4)] == [None] * 4
    scheduler.on_trial_complete(view(3))
    assert [cores(scheduler, trial, 2) for trial in range(3)] == [3, 3, None]
    scheduler.on_trial_error(view(0))
    assert [cores(scheduler, trial, 3) for trial in (1, 2)] == [4, 4]
    scheduler.on_trial_complete(view(1))
    assert cores(scheduler, 2, 4) == 8


def test_trials_that_are_still_to_come_count() -> None:
    scheduler = four(trials=9)
    assert [cores(scheduler, trial) for trial in range(4)] == [None] * 4
    for trial in (3, 2, 1):
        scheduler.on_trial_complete(view(trial))
    assert cores(scheduler, 0) == 2  # of 6 that are left, the oldest get what cannot be divided


def test_without_a_checkpoint_of_this_step_nothing_is_changed() -> None:
    # The trial would begin anew.
    assert cores(four(), 0, saved=False) is None


def test_shares_are_multiples_of_what_a_trial_begins_with() -> None:
    scheduler = four(total=Resources(cpu=16, gpu=2), each=Resources(cpu=2, gpu=0.5))
    assert cores(scheduler, 0, 2) is None  # 2 GPUs are enough for four halves
    scheduler.on_trial_complete(view(1))
    assert (cores(scheduler, 0, 2), cores(scheduler, 2, 2)) == (4, None)


@pytest.mark.parametrize(
    ("total", "each", "left", "cpu"),
    [
        (Resources(cpu=2.4), Resources(cpu=0.8), 1, 2.4),
        (Resources(cpu=1), Resources(cpu=0.1), 1, 1),
        (Resources(cpu=1), Resources(cpu=0.1), 3, 0.4),
        (Resources(cpu=1), Resources(cpu=0.3), 1, 0.9),
        (Resources(cpu=9, gpu=0.9), Resources(cpu=1, gpu=0.3), 1, 3),
    ],
)
def test_no_share_is_lost_to_rounding(total: Resources, each: Resources, left: int, cpu: float) -> None:
    shares = Shares(total=total, each=each, left=left, place=0)
    wanted = evenly(view(0), Report(1, {"loss": 1.0}, 0.0, 1), shares)
    assert wanted is not None
    assert wanted.cpu == pytest.approx(cpu)


def test_a_function_of_ones_own() -> None:
    scheduler = four(allocation=lambda trial, report, shares: Resources(cpu=5 if shares.place == 2 else 1))
    assert [cores(scheduler, trial) for trial in range(4)] == [None, None, 5, None]
    assert cores(scheduler, 1, 5) == 1


def test_the_one_inside_is_heard_first() -> None:
    scheduler = four(inside=ASHA(max_steps=3))
    stopped: Any = scheduler.on_trial_result(view(0), Report(3, {"loss": 1.0}, 0.0, 1, CheckpointKey(0, 3, 1)))
    assert stopped.reason == "ASHA: max_steps=3 reached"
    promoting = four(inside=HyperBand(max_steps=9))
    assert promoting.chooses
    told: Any = promoting.on_trial_result(view(0), Report(1, {"loss": 1.0}, 0.0, 1, CheckpointKey(0, 1, 1)))
    assert told == {0: PAUSE}


def test_who_waits_for_a_wider_slot_is_not_chosen_again() -> None:
    scheduler = four()
    assert [cores(scheduler, trial) for trial in range(2)] == [2, 2]
    pending = {trial: TrialView(id=trial, state=State.PENDING, values={}) for trial in range(4)}

    def chosen(*claimed: int) -> Any:
        search = SearchView(
            at=0.0, objective=scheduler.objective, trials=pending, counts={}, best=None, claimed=frozenset(claimed)
        )
        return scheduler.choose_trial_to_run(search)

    assert [chosen(), chosen(0), chosen(0, 1), chosen(1)] == [0, 1, "NEW", 0]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("inside", [ASHA(max_steps=7), HyperBand(max_steps=6, factor=2)])
def test_whole_searches_come_to_their_end(seed: int, inside: Any) -> None:
    def make() -> ResourceChanging:
        return ResourceChanging(total=Resources(cpu=4), trials=6, inside=inside)

    told = story(seed, scheduler=make, stoppers=(), saves=True, workers=4, max_trials=6, steps=7)
    search = told.search()
    search.run()
    assert search.end is not None
    check_history(search.records)


def test_in_a_whole_search_the_last_ones_get_more() -> None:
    found = []
    for seed in range(8):
        told = story(seed, scheduler=changing_story, stoppers=(), saves=True, workers=4, max_trials=4, steps=7, troubled=0.0)
        records = told.search().run().records
        found += [event.resources.cpu for record in records for event in record.happened if isinstance(event, Reallocated)]
    assert found
    assert set(found) <= {2, 4}


def changing_story() -> ResourceChanging:
    return ResourceChanging(total=Resources(cpu=4), trials=4)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"total": Resources(cpu=1), "each": Resources(cpu=2)}, r"total=1 core\) is less than .* each=2 cores"),
        ({"total": 8}, r"total=\.\.\.\) takes Resources\(cpu=\.\.\.\), not 8"),
        ({"trials": 0}, r"trials=.* of at least 1, not 0"),
        ({"allocation": 3}, r"allocation=\.\.\.\) takes a function, not 3"),
        ({"inside": "ASHA"}, r"inside=\.\.\.\) takes a scheduler, not 'ASHA'"),
        ({"inside": PopulationBasedTraining(perturbation_interval=1)}, r"it lets trials go on from each other's checkpoints"),
        ({"inside": ResourceChanging(total=Resources(cpu=8), trials=1)}, r"it changes their resources itself"),
    ],
)
def test_what_makes_no_sense_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        changing(**settings)


def test_the_plan() -> None:
    told = "ResourceChanging (evenly): 8 cores, from 1 core for each of 4 trials\nFIFO: every trial runs to its own end"
    assert changing().plan() == told
    assert changing().settings() == {
        "total": [8, 0],
        "trials": 4,
        "each": [1, 0],
        "allocation": "evenly",
        "inside": {"class": "FIFO", "settings": {}},
    }
